"""From a configuration to its module, data module and trainer."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from contrapposto.errors import ConfigError


def complete(config: DictConfig) -> DictConfig:
    """Write the arguments of module and data module that follow from `data` and `seed` into the configuration.

    An argument that a constructor takes and that its node leaves out is the option of the same name in `data`, or the
    seed. So an option is written once, in `data`, and a run's config.yaml still states everything.
    """
    with open_dict(config):
        if config.get("models") and config.get("name") in config.models and not config.get("model_options"):
            raise ConfigError(
                f"The options that experiment={config.get('experiment_name')} has for {config.name} are missing.",
                fix="compose the configuration with cli.compose.compose_config",
            )
        config.pop("models", None)
        config.pop("model_options", None)
        for name in ("datamodule", "module"):
            node = config.get(name)
            if node is not None and "_target_" in node and config.get("data") is not None:
                _fill(node, config)
    return config


def _fill(node: DictConfig, config: DictConfig) -> None:
    from hydra.utils import get_object

    for name in inspect.signature(get_object(node._target_)).parameters:
        if name in node:
            continue
        if name in config.data:
            node[name] = f"${{data.{name}}}"
        elif name == "seed":
            node[name] = "${seed}"


def adopt_networks(config: DictConfig) -> None:
    """Fine-tuning (`init_from=`) a model that holds the networks of its earlier stages needs no runs of these."""
    raw: Any = OmegaConf.to_container(config, resolve=False)
    start, module = raw.get("init_from"), raw.get("module") or {}
    links = [key for key, value in module.items() if isinstance(value, str) and "${best:" in value]
    if not start or "${" in str(start) or not links:
        return
    from hydra.utils import get_object

    from contrapposto.checkpoints import load_checkpoint
    from contrapposto.pretrained import find_checkpoint

    options = load_checkpoint(find_checkpoint(start)).get("hyper_parameters") or {}
    taken = inspect.signature(get_object(module["_target_"])).parameters
    held = [key for key in links if key in options and options[key] is None]
    with open_dict(config):
        for key in held:
            config.module[key] = None
        if held:
            missing = [
                key for key in taken if key not in module and key in options and key not in config.data
            ]
            config.module.update({key: options[key] for key in missing if key != "seed"})


def build_datamodule(config: DictConfig) -> Any:
    """The data module, any `LightningDataModule`."""
    from hydra.utils import instantiate

    return instantiate(complete(config).datamodule, _convert_="all")


def build_module(config: DictConfig) -> Any:
    """The module; a `StageModule` trains by the configuration's `optimizer` and `scheduler`."""
    from hydra.utils import instantiate

    from lightning_modules.base import StageModule

    module = instantiate(complete(config).module, _convert_="all")
    if isinstance(module, StageModule):
        if config.get("optimizer"):
            module.optimizer_factory = factory(config.optimizer)
        if config.get("scheduler"):
            module.schedule_factory = factory(config.scheduler)
    return module


def factory(node: DictConfig) -> Any:
    """The partial function of an optimiser or a schedule.

    Models set options of the usual ones (`betas`, `milestones`); those that another one does not take are left out.
    """
    from hydra.utils import get_object, instantiate

    taken = inspect.signature(get_object(node._target_)).parameters
    options: Any = OmegaConf.to_container(node, resolve=True)
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
        options = {key: value for key, value in options.items() if key.startswith("_") or key in taken}
    return instantiate({**options, "_partial_": True}, _convert_="all")


def build_callbacks(config: DictConfig) -> list[Any]:
    """The callbacks of a configuration; those set to null are left out."""
    from hydra.utils import instantiate

    nodes = (config.get("callbacks") or {}).values()
    return [instantiate(node, _convert_="all") for node in nodes if node and "_target_" in node]


def build_trainer(config: DictConfig, run: Path) -> Any:
    """The Lightning Trainer of a configuration, with the suite's callbacks, loggers and checkpoint format."""
    import pytorch_lightning as pl
    from hydra.utils import instantiate

    from callbacks import AtomicCheckpointIO, CompileNetworks, UnevenEvaluation

    arguments: Any = OmegaConf.to_container(config.trainer, resolve=True)
    callbacks, backend = [*build_callbacks(config), UnevenEvaluation()], arguments.pop("compile", False)
    if backend:
        callbacks.append(CompileNetworks("inductor" if backend is True else backend))
    quiet = arguments.get("fast_dev_run")
    loggers = [] if quiet or not config.get("logger") else instantiate(config.logger, _convert_="all")
    return pl.Trainer(
        **arguments,
        callbacks=callbacks,
        logger=loggers or False,
        default_root_dir=str(run),
        plugins=[AtomicCheckpointIO()],
        enable_progress_bar=False,
        use_distributed_sampler=False,  # batches are a function of the step, see datamodules
    )


def quiet_lightning() -> None:
    """Leave out Lightning's tips, its report of devices and its remarks on other libraries; errors stay."""
    import logging
    import warnings

    for text in (
        ".*LeafSpec.*",
        ".*smaller than the logging interval.*",
        ".*does not have many workers.*",
        ".*module.s. in eval mode.*",
    ):
        warnings.filterwarnings("ignore", text)

    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
