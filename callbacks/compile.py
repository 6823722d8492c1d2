"""torch.compile for the networks of a training."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl


class CompileNetworks(pl.Callback):
    """Compiles the networks that a `StageModule` names as `compiled` before the first step; `trainer.compile=true` adds it.

    Args:
        backend: of torch.compile.
    """

    def __init__(self, backend: str = "inductor") -> None:
        self.backend = backend

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Compile, after the module's own set-up may have replaced networks; names of weights stay as they are."""
        for name in pl_module.compiled:
            pl_module.get_submodule(name).compile(backend=self.backend)
