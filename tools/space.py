"""Write a folder that is a Hugging Face Space of the studio: `python tools/space.py FOLDER`.

A Space installs `requirements.txt` before it copies anything else, so the library lies in the folder itself. Push it with
git or `hf upload --repo-type space NAME FOLDER`.
"""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TORCH = "--extra-index-url https://download.pytorch.org/whl/cpu"
README = """---
title: Contrapposto studio
sdk: gradio
sdk_version: {gradio}
app_file: app.py
python_version: "3.11"
license: apache-2.0
---

Human pose and motion, five ways: the page of `contrapposto studio`.
"""


def write_space(folder: Path) -> Path:
    """Write the Space.

    Raises:
        FileExistsError: the folder is there and not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty: name a new folder")
    unwanted = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "contrapposto", folder / "contrapposto", ignore=unwanted, dirs_exist_ok=True)
    for name in ("app.py", "LICENSE"):
        shutil.copyfile(ROOT / name, folder / name)
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    (folder / "requirements.txt").write_text("\n".join([TORCH, *needed]) + "\n", encoding="utf-8")
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    version = re.findall(r"^gradio==(\S+)", constraints, re.M)[0]
    (folder / "README.md").write_text(README.format(gradio=version), encoding="utf-8")
    return folder


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(write_space(Path(sys.argv[1])))
