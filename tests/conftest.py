"""What many tests share: real data where it is, small stores, quiet Lightning."""

import logging
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("CONTRAPPOSTO_DATA", ROOT.parent / "shared" / "data"))

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_SILENT", "true")
for name in ("pytorch_lightning", "lightning_fabric"):
    logging.getLogger(name).setLevel(logging.WARNING)


@pytest.fixture(scope="session")
def shared_data():
    """The folder with real development data; skips the test where there is none."""
    if not DATA.is_dir():
        pytest.skip(f"no development data at {DATA}; set CONTRAPPOSTO_DATA to use some")
    return DATA


@pytest.fixture(scope="session")
def stores(tmp_path_factory):
    """A folder of stores with one small store called `tiny`: 24 generated clips of 2 to 3 s, with a few actions."""
    from contrapposto.data.prepare import prepare
    from contrapposto.io.amass import write_amass
    from contrapposto.synthetic import generate

    folder = tmp_path_factory.mktemp("stores")
    raw = tmp_path_factory.mktemp("raw")
    for number in range(24):
        action = ("walk", "run", "squat", "wave both hands")[number % 4]
        write_amass(
            raw / f"{action.replace(' ', '_')}_{number}.npz",
            generate(action, seconds=2 + number % 2, seed=number),
        )
    prepare("amass", output=folder / "tiny", raw=raw, workers=1)
    return folder
