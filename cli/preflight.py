"""Checks before long work: whatever would fail in an hour fails now, with the command that fixes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from cli.plan import prepare_command
from contrapposto.errors import ConfigError, MissingError
from contrapposto.files import need_space
from contrapposto.pretrained import find_checkpoint

MIN_FREE_BYTES = 200 * 2**20


def preflight(config: DictConfig, *, parameters: int = 0, start: bool = True) -> None:
    """Check model, data, weights, device, memory and disk.

    Args:
        config: of train.py or evaluate.py.
        start: whether this is the start of a run, which reads `init_from`.
        parameters: number of weights of the model, for the room that its checkpoints take.

    Raises:
        ContrappostoError: the first thing that is missing, and how to fix it.
    """
    _check_data(config)
    _check_lists(config)
    _check_weights(config, ("init_from", "ckpt", "official") if start else ("ckpt", "official"))
    _check_device(config)
    # Weights and two optimiser moments, for the best, the last and the one being written.
    runs, needed = Path(config.paths.runs), MIN_FREE_BYTES + parameters * 4 * 3 * 3
    need_space(runs, needed, f"for runs in {runs}", fix="choose another place: paths.runs=FOLDER")


def _check_data(config: DictConfig) -> None:
    data = config.data
    if data is None or data.get("name") is None:
        raise ConfigError("No data chosen.", fix="add data=demo (or amass, cmu, bandai)")
    if data.get("store") is None:  # data of somebody else, which their data module reads
        return
    store = Path(data.store)
    if not (store / "manifest.json").is_file():
        raise MissingError(
            f"The data {data.name!r} has not been prepared: there is no store at {store}.",
            fix=prepare_command(config),
        )


def _check_lists(config: DictConfig) -> None:
    """Split lists, and the body, that the command line or an experiment names."""
    raw: Any = OmegaConf.to_container(config.data, resolve=False)
    named = [str(raw.get(key)) for key in ("train_list", "test_list")]
    if any("${data.lists}" in value for value in named) and not config.data.get("lists"):
        raise ConfigError(
            f"experiment={config.get('experiment_name')} splits by the official lists, and no folder is named.",
            expected="a folder with CMU_train.txt, CMU_test.txt and so on (the authors' prepare_data/data_split)",
            fix="add data.lists=FOLDER",
        )
    for key in ("train_list", "test_list"):
        value = config.data.get(key) or []
        for entry in [value] if isinstance(value, str) else value:
            if "*" not in entry and not Path(entry).is_file():
                raise MissingError(
                    f"data.{key} names a list that does not exist: {entry}",
                    expected="a file with one clip path a line, or a pattern with *",
                    fix="data.lists=FOLDER of the official lists" if config.data.get("lists") else "",
                )
    body = config.data.get("body")
    if body and not Path(body).is_file():
        raise MissingError(f"data.body={body} does not exist.", expected="a body file (SMPL-H, model.npz)")


def _check_weights(config: DictConfig, keys: Sequence[str]) -> None:
    for key in keys:
        value = config.get(key)
        if value and key == "official" and not Path(value).exists():
            raise MissingError(f"{key}={value} does not exist.", expected="the authors' file or folder")
        if value and key != "official":
            find_checkpoint(value)


def _check_device(config: DictConfig) -> None:
    accelerator = config.trainer.accelerator
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise ConfigError(
            f"trainer.accelerator={accelerator}, but torch sees no CUDA device.",
            found=f"torch {torch.__version__}",
            fix="use trainer.accelerator=cpu, or install a CUDA build of torch (see Makefile, TORCH_INDEX_URL)",
        )
    devices = config.trainer.devices
    if accelerator in ("gpu", "cuda") and isinstance(devices, int) and devices > torch.cuda.device_count():
        raise ConfigError(
            f"trainer.devices={devices} is more than there are.",
            found=f"{torch.cuda.device_count()} CUDA devices",
        )
    batch = config.data.get("batch_size") if config.data else None
    if batch and isinstance(devices, int) and devices > 1 and batch % (devices * config.trainer.num_nodes):
        raise ConfigError(
            f"data.batch_size={batch} is the global batch and cannot be shared evenly.",
            found=f"{devices * config.trainer.num_nodes} processes",
            fix="choose a multiple of the number of processes",
        )
