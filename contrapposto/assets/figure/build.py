"""Makes the network of stylised figures that ships: python contrapposto/assets/figure/build.py

Draws the images (10 minutes of one core), trains (40 minutes), and writes figure.safetensors beside this file in 16 bits.
"""

import json
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent


def export(checkpoint: Path, output: Path) -> None:
    """The weights of a checkpoint of model=scail_figure, in 16 bits."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    kept = {
        name.removeprefix("network."): value.half().contiguous()
        for name, value in state.items()
        if name.startswith("network.") and value.is_floating_point()
    }
    save_file(kept, output, metadata={"licence": "CC0 1.0"})


if __name__ == "__main__":
    subprocess.run([sys.executable, "prepare.py", "data=scail_figures"], check=True)
    subprocess.run([sys.executable, "train.py", "model=scail_figure", "logger=csv"], check=True)
    newest = max(Path("runs/scail_figure").glob("*/result.json"), key=lambda file: file.parent.name)
    print(json.loads(newest.read_text(encoding="utf-8")))
    export(newest.parent / "checkpoints" / "best.ckpt", HERE / "figure.safetensors")
