"""What the modules of all systems share: named outputs of an evaluation, logged losses, frozen earlier stages."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from contrapposto.checkpoints import load_checkpoint
from contrapposto.errors import InputError, MissingError
from contrapposto.pretrained import find_checkpoint
from lightning_modules.optim import make_optimizer, with_schedule


class StageModule(pl.LightningModule):
    """A stage whose validation and test return the same named outputs: those of `evaluate_batch`.

    Attributes:
        optimizer_factory: from parameters, or groups of them, to an optimiser; None: torch's AdamW. The configuration's
            `optimizer` sets it.
        schedule_factory: from an optimiser to a schedule, see `with_schedule`; None: a constant rate. The
            configuration's `scheduler` sets it.
        compiled: names of the submodules that torch.compile may compile (`trainer.compile`).
    """

    optimizer_factory: Callable[..., torch.optim.Optimizer] | None = None
    schedule_factory: Callable[..., Any] | None = None
    compiled: tuple[str, ...] = ()

    def evaluate_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Named outputs of an evaluation batch, see the class."""
        raise NotImplementedError

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Any]:
        """Named outputs of a batch."""
        return self.evaluate_batch(batch)

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Any]:
        """Named outputs of a batch."""
        return self.evaluate_batch(batch)

    def output_settings(self) -> dict[str, Any]:
        """What is done to the model's outputs before they are measured; reports and tables state it.

        `predict.py` does the same unless its options state otherwise. Empty: outputs are measured as they are.
        """
        return {}

    def log_losses(self, terms: Mapping[str, Tensor], batch_size: int) -> None:
        """Log scalars under train/; the one called `total` is the loss."""
        # sync_dist: the mean over processes of equal shares of the batch is the batch's mean.
        self.log_dict(
            {f"train/{'loss' if name == 'total' else name}": value.detach() for name, value in terms.items()},
            batch_size=batch_size,
            sync_dist=True,
        )

    def configure_optimizers(self) -> Any:
        """The chosen optimiser and schedule on everything that is trained."""
        optimizer = self.make_optimizer(p for p in self.parameters() if p.requires_grad)
        return with_schedule(optimizer, self.schedule_factory, self.trainer)

    def offered(self, name: str) -> Any:
        """What the data module offers under a name (see `StoreDataModule.offers`); None where it does not."""
        datamodule = getattr(self._trainer, "datamodule", None)
        return getattr(datamodule, name) if name in getattr(datamodule, "offers", ()) else None

    def cache_outputs(
        self,
        name: str,
        metadata: dict[str, Any],
        function: Callable[[dict[str, Tensor]], Mapping[str, Tensor]],
    ) -> None:
        """Have outputs of frozen networks computed once for all training windows, if the data module can do that.

        A trial run (`fast_dev_run`) computes them in its one step. See `StoreDataModule.cache_outputs`.
        """
        datamodule: Any = getattr(self.trainer, "datamodule", None)
        if hasattr(datamodule, "cache_outputs") and not getattr(self.trainer, "fast_dev_run", False):
            datamodule.cache_outputs(name, metadata, function)

    def drop_cached_outputs(self) -> None:
        """From now on batches hold no cached outputs."""
        datamodule: Any = getattr(self.trainer, "datamodule", None)
        if hasattr(datamodule, "drop_cached_outputs"):
            datamodule.drop_cached_outputs()

    def make_optimizer(self, parameters: Any) -> torch.optim.Optimizer:
        """The chosen optimiser of parameters, or of groups of them."""
        return make_optimizer(self.optimizer_factory, parameters, self.trainer)


AUTHORS_SUFFIXES = (".tar", ".pt", ".pth")
"""Of the files of the original's authors; ours are `.ckpt` and `.safetensors`."""


def load_stage(kind: type[pl.LightningModule], checkpoint: str | Path | None, model: str) -> Any:
    """The module of an earlier stage, frozen, in evaluation mode; its own frozen stages are not loaded.

    Args:
        kind: class of the module.
        checkpoint: a file, a run directory, or a shipped model's name.
        model: its name, as in `model=`.

    Raises:
        MissingError: there is no such checkpoint.
        InputError: it is damaged, or of another model.
    """
    missing = MissingError(
        f"The checkpoint of the earlier stage {model} is missing.",
        found=str(checkpoint),
        fix=f"train it: python train.py model={model}, or name one",
    )
    if not checkpoint:
        raise missing
    try:
        path = find_checkpoint(checkpoint)
    except MissingError:
        raise missing from None
    content = load_checkpoint(path)
    options = content.get("hyper_parameters") or {}
    taken = inspect.signature(kind).parameters
    absent = [name for name, p in taken.items() if p.default is p.empty and name not in options]
    if absent or "state_dict" not in content:
        raise InputError(
            f"{path} is not a checkpoint of {model}.", found=f"no {', '.join(absent) or 'weights'} in it"
        )
    module = kind(**{name: value for name, value in options.items() if name in taken})
    load_content(module, content, path)
    return module.eval().requires_grad_(False)


def load_weights(module: pl.LightningModule, checkpoint: str | Path) -> None:
    """Load the weights, and nothing else, of a checkpoint (file, run directory, shipped model) into a module.

    A file of the original's authors (`AUTHORS_SUFFIXES`) is loaded by the module's `start_from_official` or
    `load_official`.

    Raises:
        MissingError: there is no such checkpoint. InputError: it is damaged, or of another model.
    """
    path = find_checkpoint(checkpoint)
    if path.suffix in AUTHORS_SUFFIXES:
        load = getattr(module, "start_from_official", None) or getattr(module, "load_official", None)
        if load is None:
            raise InputError(f"{type(module).__name__} cannot start from {path}.", expected="a .ckpt file")
        for name, report in load(path).items():
            print(f"{name}: {report}")
        return
    content = load_checkpoint(path)
    load_content(module, {"state_dict": content.get("state_dict") or {}}, path, hooks=False)


def load_content(module: Any, content: dict[str, Any], path: Path, *, hooks: bool = True) -> None:
    """Load what a checkpoint file holds into a module; with `hooks`, whatever the module keeps beside its weights too.

    Raises:
        InputError: the weights are of another model, or of other sizes.
    """
    if hooks:
        module.on_load_checkpoint(content)
    try:
        module.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:] if line.strip()]
        raise InputError(
            f"The weights in {path} do not fit {type(module).__name__}.",
            found=" ".join(lines)[:300],
            expected="a checkpoint of the same model with the same sizes",
            fix="name another file, or the experiment= that it was trained with",
        ) from error


def weights_hash(*networks: nn.Module) -> str:
    """Hash of all weights: what cached outputs of frozen networks belong to."""
    digest = hashlib.sha256()
    for network in networks:
        for name, value in network.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
