"""Checks before long work, through the entry points."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli.launch import compose_config
from cli.preflight import preflight
from contrapposto.errors import ConfigError, InputError, MissingError

ROOT = Path(__file__).parents[2]


def config(*overrides, stores):
    return compose_config(
        "train",
        [
            "model=sage_upper_vqvae",
            "data=amass",
            "data.name=tiny",
            f"paths.stores={stores}",
            "trainer.accelerator=cpu",
            *overrides,
        ],
    )


def test_a_good_configuration_passes(stores):
    preflight(config(stores=stores))


def test_missing_data_names_the_command(tmp_path):
    with pytest.raises(MissingError) as caught:
        preflight(config(stores=tmp_path))
    assert caught.value.fix == "python prepare.py data=amass raw=FOLDER data.name=tiny"


def test_a_missing_checkpoint(stores):
    with pytest.raises(MissingError, match="nowhere"):
        preflight(config("init_from=nowhere.ckpt", stores=stores))


def test_a_missing_gpu(stores):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(ConfigError, match="CUDA"):
        preflight(config("trainer=ddp", "trainer.accelerator=gpu", stores=stores))


def test_a_batch_that_cannot_be_shared(stores):
    with pytest.raises(ConfigError, match="batch_size=7"):
        preflight(config("trainer.devices=2", "data.batch_size=7", stores=stores))


def test_a_full_disk(stores):
    with pytest.raises(InputError, match="not enough space for runs"):
        preflight(config(stores=stores), parameters=10**15)


def test_sweeps_with_several_processes_are_refused(stores):
    result = subprocess.run(
        [sys.executable, ROOT / "train.py", "-m", "model=sage_upper_vqvae", "trainer=ddp_cpu", "seed=1,2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "sweep" in result.stderr and "Traceback" not in result.stderr
