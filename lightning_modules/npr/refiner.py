"""NPR: refinement of a source's poses for one target (docs/specs/npr.md, section 8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from contrapposto.errors import ConfigError
from contrapposto.mesh.asset import MeshAsset
from contrapposto.mesh.template import Template
from contrapposto.metrics.mesh import point_distance
from contrapposto.systems.npr.extractor import PoseCode
from contrapposto.systems.npr.refiner import PoseRefiner, RefinementLosses
from lightning_modules.npr.drawing import before_after_rows
from lightning_modules.npr.frozen import LatentModule


class NPRRefinerModule(LatentModule):
    """Trains `PoseRefiner` for one target mesh; extractor and applier are frozen.

    Validation and test steps return, for B poses, the losses without (`..._before`) and with refinement
    (`..._after`): `laplacian`, `edge` (B,) and, where the truth is known, `pmd` (B,) (NaN elsewhere), and
    `change` (B,); `clips`; `num_frames`.

    Args:
        autoencoder, autoencoder_network: see `LatentModule.embed`.
        network: options of `PoseRefiner`, without the number of features.
        loss: options of `RefinementLosses`.
        normalize: that of the auto-encoder.

    Attributes:
        target: the mesh that it was trained for; travels in the checkpoint.
    """

    def __init__(
        self,
        autoencoder: str | None = None,
        autoencoder_network: Mapping[str, Any] | None = None,
        network: Mapping[str, Any] | None = None,
        loss: Mapping[str, Any] | None = None,
        normalize: str = "unit_cube",
    ) -> None:
        super().__init__(normalize)
        self.save_hyperparameters()
        self.embed(autoencoder, autoencoder_network)
        self.refiner = PoseRefiner(self.network.encoder.width, **(network or {}))
        self.loss_options = dict(loss or {})
        self.target: MeshAsset | None = None
        self._losses: tuple[Template, RefinementLosses] | None = None

    def on_fit_start(self) -> None:
        """Encode all training poses; take the target."""
        super().on_fit_start()
        self._template = self._chosen_target()
        if self.target is not None and self.target.vertices.shape != self._template.mesh.vertices.shape:
            raise ConfigError("The run that goes on was for another target.", fix="start a new run")
        self.target = self._template.mesh

    def _chosen_target(self) -> Template:
        template: Template = self.offered("target_template")
        return template

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put templates and target in."""
        super().on_save_checkpoint(checkpoint)
        if self.target is not None:
            checkpoint["target"] = {
                "vertices": torch.from_numpy(self.target.vertices),
                "faces": torch.from_numpy(self.target.faces),
            }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take templates and target out."""
        super().on_load_checkpoint(checkpoint)
        parts = checkpoint.get("target")
        if parts is not None:
            self.target = MeshAsset(parts["vertices"].numpy(), parts["faces"].numpy(), name="target")

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """Loss of a batch of poses, logged under train/."""
        code = self.latents[batch["rows"]]
        refined = self.refiner.refine(self.network.encoder, code)
        terms = self._of(self._template)(self._posed(self._template, refined), code, refined)
        names = ("total", "laplacian", "edge", "regularization")
        self.log_losses({name: getattr(terms, name) for name in names}, len(code))
        return {"loss": terms.total}

    def evaluate_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        target: Template = batch["target"]
        code = self.encode(batch["source"], batch["vertices"])
        refined = self.refiner.refine(self.network.encoder, code)
        outputs: dict[str, Any] = {"clips": batch["names"], "num_frames": [1] * len(code)}
        rows: list[dict[str, Tensor]] = []
        meshes = {"before": self._posed(target, code), "after": self._posed(target, refined)}
        for row in range(len(code)):
            values: dict[str, Tensor] = {}
            for name, other in (("before", code), ("after", refined)):
                terms = self._of(target)(
                    meshes[name][row : row + 1], code[row : row + 1], other[row : row + 1]
                )
                values |= {f"laplacian_{name}": terms.laplacian, f"edge_{name}": terms.edge}
                values[f"loss_{name}"], values["change"] = terms.total, terms.regularization
                values[f"pmd_{name}"] = self._distance(meshes[name][row], batch["truth"], row)
            rows.append(values)
        stacked = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
        return {**outputs, **stacked, "before_vertices": meshes["before"], "after_vertices": meshes["after"]}

    @staticmethod
    def _distance(mesh: Tensor, truth: Tensor | None, row: int) -> Tensor:
        if truth is None:
            return mesh.new_tensor(torch.nan)
        return 1000 * point_distance(mesh, truth[row], squared=True, centred=True)

    def _posed(self, target: Template, code: PoseCode) -> Tensor:
        return target.solve(self.network.decode(target.solver, code))

    def _of(self, target: Template) -> RefinementLosses:
        """The losses on a target, made once."""
        if self._losses is None or self._losses[0] is not target:
            self._losses = (target, RefinementLosses(target.solver, **self.loss_options))
        return self._losses[1]

    def media(self, stage: str, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Any]:
        """Source pose, the target without and with refinement, side by side, for the media callback."""
        return {"refined": before_after_rows(batch, outputs["before_vertices"], outputs["after_vertices"])}
