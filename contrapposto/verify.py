"""Checks of an installation: shipped models are whole, load, and compute. One JSON.

`cli/verify.py` of a checkout adds the golden cases, a training step of every model and the figures of the cards.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from contrapposto.errors import ContrappostoError
from contrapposto.files import sha256, write_json
from contrapposto.pretrained import load_pretrained
from contrapposto.runs import ZOO


@dataclass(frozen=True)
class Check:
    """One check.

    Args:
        name: of what is checked.
        ok: whether it holds; None: it was not done.
        detail: what was found.
        seconds: that it took.
    """

    name: str
    ok: bool | None
    detail: str = ""
    seconds: float = 0.0


def timed(name: str, work: Callable[[], str]) -> Check:
    """Do one check: `work` returns a detail, or raises."""
    begin = time.monotonic()
    try:
        ok, detail = True, work()
    except (ContrappostoError, AssertionError) as error:
        ok, detail = False, str(error)
    except Exception as error:  # whatever breaks is what this is to find
        ok, detail = False, f"{type(error).__name__}: {error}"
    return Check(name, ok, detail, round(time.monotonic() - begin, 2))


def published_folders(zoo: Path = ZOO) -> list[Path]:
    """Folders of published models."""
    return sorted(path.parent for path in zoo.glob("*/*/result.json"))


def check_models(zoo: Path = ZOO) -> list[Check]:
    """Every shipped model: files as they were published, weights that load and are finite."""
    checks = []
    for folder in published_folders(zoo):
        name = f"{folder.parent.name}/{folder.name}"
        checks.append(timed(f"files of {name}", partial(whole, folder)))
        checks.append(timed(f"weights of {name}", partial(finite, folder)))
    return checks


def whole(folder: Path) -> str:
    """Compare a published folder with its index.

    Raises:
        AssertionError: a file is missing or another one.
    """
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    for name, digest in index.items():
        path = folder / name
        if not path.is_file() or sha256(path) != digest:
            raise AssertionError(f"{path} is not the file that was published")
    return f"{len(index)} files as published"


def finite(folder: Path) -> str:
    """Load a published model.

    Raises:
        AssertionError: a weight is not finite.
    """
    model = load_pretrained(folder)
    bad = [name for name, value in model.state.items() if not bool(torch.isfinite(value.float()).all())]
    if bad:
        raise AssertionError(f"{len(bad)} weights are not finite, first {bad[0]}")
    return f"{sum(value.numel() for value in model.state.values()):,} weights"


def summary(checks: Sequence[Check]) -> str:
    """The checks as lines."""
    marks = {True: "ok", False: "FAILED", None: "skipped"}
    width = max((len(check.name) for check in checks), default=0)
    lines = [f"{marks[c.ok]:<8}{c.name:<{width}}  {c.seconds:6.1f} s  {c.detail}" for c in checks]
    failed = sum(check.ok is False for check in checks)
    return "\n".join([*lines, f"{len(checks)} checks, {failed} failed"])


def write(path: str | Path, checks: Sequence[Check], **more: Any) -> None:
    """Write the checks as JSON."""
    failed = any(check.ok is False for check in checks)
    write_json(path, {"ok": not failed, **more, "checks": [asdict(check) for check in checks]})


def checkout() -> Path | None:
    """The checkout that this package lies in, None where it is installed alone."""
    root = Path(__file__).resolve().parents[1]
    return root if (root / "cli" / "verify.py").is_file() and (root / "configs").is_dir() else None


def main(arguments: Sequence[str] = ()) -> int:
    """Check the installation; `output=FILE` writes JSON. Returns 1 where a check fails."""
    options = dict(argument.partition("=")[::2] for argument in arguments)
    checks = check_models()
    print(summary(checks))
    if options.get("output"):
        write(options["output"], checks)
    return int(any(check.ok is False for check in checks))
