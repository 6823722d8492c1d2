"""Whether two configurations train the same weights."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

# Of the trainer, what decides the weights; devices, strategy and logging do not.
_TRAINER = (
    *("max_epochs", "min_epochs", "max_steps", "min_steps", "precision", "accumulate_grad_batches"),
    *("gradient_clip_val", "gradient_clip_algorithm", "limit_train_batches", "overfit_batches"),
)
_DATA = ("store", "num_workers", "cache_gib", "recipe", "options", "lists", "prepare")  # do not decide them


def differences(saved: DictConfig, wanted: DictConfig) -> list[str]:
    """What decides the weights and is not the same, as `key: saved, not wanted`; options that one lacks do not count.

    Checkpoints of earlier stages are the same where model, run and file have the same names: runs may be moved.
    """
    before, after = _deciding(saved), _deciding(wanted)
    changed = [key for key in before if key in after and before[key] != after[key]]
    return [f"{key}: {_text(before[key])}, not {_text(after[key])}" for key in changed]


def _text(value: Any) -> str:
    return str(value)


def _deciding(config: DictConfig) -> dict[str, Any]:
    parts: dict[str, Any] = {key: config.get(key) for key in ("name", "experiment_name", "seed", "init_from")}
    parts = {key: _place(value) for key, value in parts.items()}
    for section in ("data", "module", "datamodule", "optimizer", "scheduler"):
        parts |= _flat(config, section)
    parts |= {f"trainer.{key}": OmegaConf.select(config, f"trainer.{key}") for key in _TRAINER}
    parts["callbacks.ema"] = _plain(OmegaConf.select(config, "callbacks.ema"))
    parts["callbacks.best.monitor"] = OmegaConf.select(config, "callbacks.best.monitor")
    left_out = {f"{section}.{key}" for section in ("data", "datamodule") for key in _DATA}
    return {key: value for key, value in parts.items() if key not in left_out}


def _flat(node: DictConfig, prefix: str) -> dict[str, Any]:
    """Leaves of a section by their full names, resolved; references that cannot be resolved are left out."""
    section = OmegaConf.select(node, prefix)
    if not isinstance(section, DictConfig):
        return {}
    leaves: dict[str, Any] = {}
    for key in section:
        name = f"{prefix}.{key!s}"
        try:
            value = OmegaConf.select(node, name)
        except OmegaConfBaseException:
            continue
        except Exception:  # a checkpoint that is not there yet
            continue
        if isinstance(value, DictConfig):
            leaves |= _flat(node, name)
        else:
            leaves[name] = _place(_plain(value))
    return leaves


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _place(value: Any) -> Any:
    """A checkpoint as `model/run/checkpoints/file`; anything else as it is."""
    if isinstance(value, str) and value.endswith((".ckpt", ".safetensors")):
        return "/".join(PurePath(value).parts[-4:])
    return value
