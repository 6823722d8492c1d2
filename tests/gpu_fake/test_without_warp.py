"""Importing and training need neither Warp nor wandb: a machine with a GPU may lack them."""

import subprocess
import sys
from pathlib import Path

from cli.compose import groups

ROOT = Path(__file__).parents[2]
KERNELS = {
    "contrapposto.render.backdrop",
    "contrapposto.render.draw_kernels",
    "contrapposto.render.figures",
    "contrapposto.render.ground_kernels",
    "contrapposto.render.ground_light",
    "contrapposto.render.launching",
    "contrapposto.render.light_kernels",
    "contrapposto.render.raster",
    "contrapposto.render.raycast",
    "contrapposto.render.view",
    "contrapposto.render.visibility_kernels",
    "contrapposto.render.warp_types",
    "contrapposto.systems.anerf.splats.projection_kernels",
    "contrapposto.systems.anerf.splats.raster_kernels",
    "contrapposto.systems.anerf.splats.tile_kernels",
    "contrapposto.systems.scail_pose.render_kernels",
}
"""Modules that draw: nothing but drawing, and training splat avatars, imports them."""
CODE = """
import importlib, sys, tempfile
from pathlib import Path

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("warp", "wandb"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
failed = []
for name in sys.argv[1].split(","):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        failed.append(name)
print("need warp:", ",".join(failed))
from benchmarks.gpu.simulate import MODELS, command, entry_point, make_stores
from contrapposto.errors import MissingError
from contrapposto.render import make_renderer
try:
    make_renderer()
except MissingError as error:
    print(error.fix)
with tempfile.TemporaryDirectory() as name:
    stores = make_stores(Path(name) / "stores")
    few = ("trainer.max_steps=1", "trainer.limit_val_batches=1", "callbacks.progress=null")
    for model in MODELS:
        assert entry_point("train", command(model, stores, Path(name) / "runs", *few)).checkpoint
        print("trained", model)
"""


def modules():
    """All but the kernels last, so that one of them cannot hide another that imports it."""
    files = [
        path.relative_to(ROOT)
        for package in ("contrapposto", "lightning_modules", "datamodules", "callbacks", "cli")
        for path in sorted((ROOT / package).rglob("*.py"))
        if "assets" not in path.parts and path.name != "__main__.py"
    ]
    return [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in files]


def test_everything_imports_and_every_model_trains():
    words = [sys.executable, "-c", CODE, ",".join(modules())]
    result = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    lines = result.stdout.splitlines()
    (needing,) = [line.removeprefix("need warp: ") for line in lines if line.startswith("need warp: ")]
    assert set(needing.split(",")) == KERNELS
    assert "pip install warp-lang" in lines
    trained = {line.removeprefix("trained ") for line in lines if line.startswith("trained ")}
    untrained = {"anerf_splat", "scail_figure", "sage_ik", "scail_pose"}  # drawn by Warp; nothing to train
    assert trained >= set(groups()["model"]) - untrained
