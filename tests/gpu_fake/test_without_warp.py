"""Importing and training need neither Warp nor wandb: a machine with a GPU may lack them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
KERNELS = {
    "contrapposto.render.draw_kernels",
    "contrapposto.render.light_kernels",
    "contrapposto.render.raster",
    "contrapposto.render.raycast",
    "contrapposto.render.view",
    "contrapposto.render.warp_types",
    "contrapposto.systems.anerf.splats.projection_kernels",
    "contrapposto.systems.anerf.splats.raster_kernels",
    "contrapposto.systems.scail_pose.render_kernels",
}
"""Modules that draw: nothing but drawing, and training splat avatars, imports them."""
MODELS = ("sage_upper_vqvae", "njf", "posegpt_classifier", "anerf")
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
from benchmarks.gpu.simulate import command, entry_point, make_stores
from contrapposto.errors import MissingError
from contrapposto.render import make_renderer
try:
    make_renderer()
except MissingError as error:
    print(error.fix)
with tempfile.TemporaryDirectory() as name:
    stores = make_stores(Path(name) / "stores")
    for model in sys.argv[2].split(","):
        assert entry_point("train", command(model, stores, Path(name) / "runs", "trainer.max_steps=1")).checkpoint
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


def test_everything_imports_and_a_model_of_every_system_trains(tmp_path):
    words = [sys.executable, "-c", CODE, ",".join(modules()), ",".join(MODELS)]
    result = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    lines = result.stdout.splitlines()
    (needing,) = [line.removeprefix("need warp: ") for line in lines if line.startswith("need warp: ")]
    assert set(needing.split(",")) == KERNELS
    assert "pip install warp-lang" in lines
    assert [line for line in lines if line.startswith("trained ")][-len(MODELS) :] == [
        f"trained {model}" for model in MODELS
    ]
