"""What a module may ask of its data beside batches. Plain LightningDataModules offer nothing of it, and work as well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytorch_lightning as pl
from torch import Tensor


class StoreDataModule(pl.LightningDataModule):
    """A data module over a store that prepare.py wrote.

    Attributes:
        offers: names of attributes that modules may read through `StageModule.offered`.
    """

    offers: ClassVar[tuple[str, ...]] = ()

    def provenance(self) -> dict[str, Any]:
        """Hash, source and licence of the data, for provenance files and checkpoints."""
        raise NotImplementedError

    def cache_outputs(
        self,
        name: str,
        metadata: dict[str, Any],
        function: Callable[[dict[str, Tensor]], Mapping[str, Tensor]],
    ) -> None:
        """Compute outputs of frozen networks for the training windows, once; training batches then hold them.

        Args:
            name: of the stage.
            metadata: plain values that decide the numbers, the hash of the weights among them.
            function: from a batch to named outputs.
        """

    def drop_cached_outputs(self) -> None:
        """From now on batches hold no cached outputs."""
