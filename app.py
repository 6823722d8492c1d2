"""The page of `contrapposto studio` as a Hugging Face Space (docs/studio.md states the README header it needs)."""

import tempfile
from pathlib import Path

from contrapposto.studio.page import build, launch_options

demo = build(Path(tempfile.mkdtemp(prefix="contrapposto-studio-")))

if __name__ == "__main__":
    demo.launch(server_name="0.0.0.0", **launch_options(hosts=("*",)))
