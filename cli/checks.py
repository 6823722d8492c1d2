"""Values checked against the annotations of what they are for, before any work starts."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from cli.plan import stage_links
from contrapposto.errors import ConfigError, nearest
from contrapposto.options import check_options, locate


def check_values(config: DictConfig) -> None:
    """Check every option of trainer, module, data module, optimiser, schedule, callbacks and logger.

    Raises:
        ConfigError: a value of another type than the argument's annotation, or out of its range.
    """
    import pytorch_lightning as pl

    if not isinstance(config.seed, int) or not 0 <= config.seed < 2**32:
        raise ConfigError(
            f"seed={config.seed} cannot be used.", expected="a whole number from 0 to 4294967295"
        )
    config = config.copy()
    config.paths.run = config.paths.run or "run"  # chosen later
    for link in stage_links(config):  # these need not be trained yet
        OmegaConf.update(config, link, "best.ckpt")
    plain: Any = OmegaConf.to_container(config, resolve=True)
    _check_compiled(plain["trainer"].pop("compile", False), plain["module"])
    check_options(pl.Trainer, plain["trainer"], "trainer.")
    for name in ("datamodule", "module", "optimizer", "scheduler", "logger"):
        _check_node(plain.get(name), f"{name}.")
    for name, node in (plain.get("callbacks") or {}).items():
        _check_node(node, f"callbacks.{name}.")
    _check_ranges(plain)
    _check_monitor(plain.get("callbacks") or {})


def _check_compiled(backend: Any, module: Any) -> None:
    """Whether the model has networks that may be compiled, by a back-end that torch has."""
    if not backend:
        return
    kind = locate(module["_target_"])
    if not getattr(kind, "compiled", ()):
        raise ConfigError(f"{kind.__name__} has no network to compile.", fix="trainer.compile=false")
    import torch

    backends = [*torch.compiler.list_backends(exclude_tags=("debug",)), "aot_eager"]
    if backend is not True and backend not in backends:
        raise ConfigError(
            f"trainer.compile={backend} cannot be used.", expected=f"true, false, {', '.join(backends)}"
        )


def _check_node(node: Any, prefix: str) -> None:
    if not isinstance(node, dict) or "_target_" not in node:
        return
    kind = locate(node["_target_"])
    options = node
    if prefix in ("optimizer.", "scheduler."):  # those of other optimisers are left out
        import inspect

        options = {key: value for key, value in node.items() if key in inspect.signature(kind).parameters}
    check_options(kind, options, prefix)


def _check_monitor(callbacks: dict[str, Any]) -> None:
    """Whether what decides the best checkpoint is among the metrics that the validation logs."""
    monitor = (callbacks.get("best") or {}).get("monitor")
    metrics = [name for name, spec in ((callbacks.get("metrics") or {}).get("metrics") or {}).items() if spec]
    if not monitor or not metrics or not str(monitor).startswith("val/"):
        return
    name = str(monitor).removeprefix("val/")
    # A metric with several values (by split, by identity) logs each as `<metric>_<value>`.
    if not any(name == metric or name.startswith(f"{metric}_") for metric in metrics):
        raise ConfigError(
            f"callbacks.best.monitor={monitor} is no metric of this model.",
            expected=nearest(str(monitor), [f"val/{metric}" for metric in metrics]),
        )


_POSITIVE = ("data.batch_size", "data.eval_batch_size", "data.window", "data.steps_per_epoch", "optimizer.lr")
_NOT_NEGATIVE = ("data.num_workers", "optimizer.weight_decay", "scheduler.warmup_steps")
_SHARES = ("data.test_share", "data.val_share")


def _check_ranges(plain: dict[str, Any]) -> None:
    for keys, fits, expected in (
        (_POSITIVE, lambda value: value > 0, "a number above 0"),
        (_NOT_NEGATIVE, lambda value: value >= 0, "0 or more"),
        (_SHARES, lambda value: 0 <= value < 1, "a share from 0 to below 1"),
    ):
        for key in keys:
            group, _, name = key.partition(".")
            value = (plain.get(group) or {}).get(name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and fits(value)):
                raise ConfigError(f"{key}={value} cannot be used.", expected=expected)
    epochs, steps = plain["trainer"].get("max_epochs"), plain["trainer"].get("max_steps")
    if epochs == 0 or steps == 0:
        raise ConfigError(
            "There is nothing to train.", found=f"trainer.max_epochs={epochs} trainer.max_steps={steps}"
        )
