"""NPR: training of extractor and applier, and of the baseline (docs/specs/npr.md, section 6)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapposto.errors import ConfigError
from contrapposto.mesh.asset import MeshAsset
from contrapposto.mesh.operators import doubled_areas
from contrapposto.mesh.template import Template
from contrapposto.systems.npr.model import NPR, tangent_loss, vertex_loss
from contrapposto.systems.npr.njf import NeuralJacobianFields
from contrapposto.systems.npr.residual import ResidualNPR, surface_jacobians
from contrapposto.weights import ImportReport
from lightning_modules.base import StageModule
from lightning_modules.npr.drawing import transfer_rows


class MeshModule(StageModule):
    """What all of NPR's modules share: the templates of training travel in the checkpoint.

    Attributes:
        templates: name -> template as it came, of the identities that the network was trained on.
        normalize: how these are scaled, see `Template`.
    """

    def __init__(self, normalize: str = "unit_cube") -> None:
        super().__init__()
        self.templates: dict[str, MeshAsset] = {}
        self.normalize = normalize

    def on_fit_start(self) -> None:
        """Take the templates of the data."""
        templates = self.offered("templates")
        if templates is not None:
            self.templates = {name: template.mesh for name, template in templates.items()}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the templates in."""
        checkpoint["templates"] = {
            name: {"vertices": torch.from_numpy(mesh.vertices), "faces": torch.from_numpy(mesh.faces)}
            for name, mesh in self.templates.items()
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the templates out."""
        self.templates = {
            name: MeshAsset(parts["vertices"].numpy(), parts["faces"].numpy(), name=name)
            for name, parts in checkpoint.get("templates", {}).items()
        }


class TransferModule(MeshModule):
    """A network that takes a pose off one template and puts it on another.

    Validation and test steps return named outputs of B poses in the target's normalised units: `pred_vertices` (the
    mean vertex where the template's is), `true_vertices`, `template_vertices` (B, V, 3); `pred_jacobians`,
    `true_jacobians`, `template_jacobians` (B, F, 3, 3) of these; `areas` (B, F); `group`; `clips`; `num_frames`.

    Args:
        vertex_weight: of the mean squared error of vertices, the release's only loss.
        jacobian_weight: of the mean squared error of the decoded Jacobians in the plane of the faces, see `tangent_loss`.
        normalize: see `MeshModule`.
    """

    network: NPR | NeuralJacobianFields

    def __init__(self, vertex_weight: float, jacobian_weight: float, normalize: str) -> None:
        super().__init__(normalize)
        if vertex_weight <= 0 and jacobian_weight <= 0:
            raise ConfigError("A loss needs a weight.", expected="vertex_weight or jacobian_weight above 0")
        self.vertex_weight, self.jacobian_weight = vertex_weight, jacobian_weight
        self._encoded: tuple[Any, Any] = (None, None)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """Loss of a batch of poses, logged under train/."""
        target: Template = batch["target"]
        code: Any = self.network.encode(batch["source"].solver, batch["vertices"])
        decoded = self.network.decode(target.solver, code)
        terms = self.losses(target, decoded, batch["truth"])
        self.log_losses(terms, len(batch["vertices"]))
        return {"loss": terms["total"]}

    def losses(self, target: Template, decoded: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """Weighted and single terms for decoded Jacobians (B, F, 9), or vertices (B, V, 3), and the truth (B, V, 3)."""
        if self.network.output == "vertices":
            return {"total": self.vertex_weight * vertex_loss(decoded, truth)}
        terms: dict[str, Tensor] = {}
        if self.vertex_weight > 0:
            solved = target.solver.solve(decoded, target.solver.pinned(truth))
            terms["vertices"] = vertex_loss(solved, truth)
        if self.jacobian_weight > 0:
            terms["jacobians"] = self.jacobian_loss(target, decoded, truth)
        weights = {"vertices": self.vertex_weight, "jacobians": self.jacobian_weight}
        return {"total": torch.stack([weights[name] * term for name, term in terms.items()]).sum(), **terms}

    def jacobian_loss(self, target: Template, decoded: Tensor, truth: Tensor) -> Tensor:
        """Mean squared error of decoded Jacobians (B, F, 9) against those of the truth (B, V, 3)."""
        return tangent_loss(target.solver, decoded, truth)

    def evaluate_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        target: Template = batch["target"]
        truth = batch["truth"]
        pred = self.posed(target, self._code(batch))
        rest = target.solver.vertices.to(truth)
        pred = pred + rest.mean(0)
        areas = torch.from_numpy(doubled_areas(target.solver.vertices.numpy(), target.clean.faces))
        meshes = {"pred": pred, "true": truth, "template": rest.expand_as(truth)}
        return {
            **{f"{name}_vertices": vertices for name, vertices in meshes.items()},
            **{f"{name}_jacobians": target.solver.jacobians(mesh) for name, mesh in meshes.items()},
            "areas": areas.to(truth).expand(len(truth), -1),
            "group": batch["group"],
            "clips": batch["names"],
            "num_frames": [1] * len(truth),
        }

    def output_settings(self) -> dict[str, Any]:
        """The published protocol: no alignment of parts, which `predict.py` adds for other bodies (`task.align`)."""
        return {"post_processing": "none (task.align=false task.rigid=0)"}

    def posed(self, target: Template, code: Any) -> Tensor:
        """(B, V, 3) of a target in its normalised units, parts in place, mean vertex at the origin."""
        decoded = self.network.decode(target.solver, code)
        if self.network.output == "vertices":
            return decoded - decoded.mean(-2, keepdim=True)
        return target.solve(decoded)

    def _code(self, batch: dict[str, Any]) -> Any:
        """The poses' codes; the same poses come for several targets in a row and are encoded once."""
        poses = [name.partition("/")[2] for name in batch["names"]]
        key = (batch["source"], poses)
        if self._encoded[0] != key:
            self._encoded = (key, self.network.encode(batch["source"].solver, batch["vertices"]))
        return self._encoded[1]

    def on_validation_epoch_start(self) -> None:
        """Codes of earlier weights are stale."""
        self._encoded = (None, None)

    def on_test_epoch_start(self) -> None:
        """Codes of earlier weights are stale."""
        self._encoded = (None, None)

    def media(self, stage: str, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Any]:
        """Source pose, result and truth side by side, for the media callback."""
        return {str(batch["names"][0]).partition("/")[0]: transfer_rows(batch, outputs["pred_vertices"])}


class NPRModule(TransferModule):
    """Trains `NPR` (arXiv 2406.09728).

    Args:
        network: options of `NPR`: `output` (`jacobians`, or `vertices` for the ablation), `norm_stats`, `train_norm`,
            `extractor`, `applier`.
        vertex_weight, jacobian_weight, normalize: see `TransferModule`.
    """

    network: NPR

    def __init__(
        self,
        network: Mapping[str, Any] | None = None,
        vertex_weight: float = 1.0,
        jacobian_weight: float = 0.0,
        normalize: str = "unit_cube",
    ) -> None:
        super().__init__(vertex_weight, jacobian_weight, normalize)
        self.save_hyperparameters()
        self.network = NPR(**(network or {}))

    def load_official(self, path: Path) -> dict[str, ImportReport]:
        """Load a checkpoint of the authors' code."""
        return {"npr": self.network.load_official(path)}


class NPRResidualModule(TransferModule):
    """Trains `ResidualNPR`. Its decoded Jacobians are full-rank, and so are those that they are compared with.

    Args:
        network: options of `ResidualNPR`.
        vertex_weight, jacobian_weight, normalize: see `TransferModule`.
    """

    network: ResidualNPR

    def __init__(
        self,
        network: Mapping[str, Any] | None = None,
        vertex_weight: float = 1.0,
        jacobian_weight: float = 0.02,
        normalize: str = "unit_cube",
    ) -> None:
        super().__init__(vertex_weight, jacobian_weight, normalize)
        self.save_hyperparameters()
        self.network = ResidualNPR(**(network or {}))

    def jacobian_loss(self, target: Template, decoded: Tensor, truth: Tensor) -> Tensor:
        """Mean squared error of decoded Jacobians (B, F, 9) against the full-rank ones of the truth (B, V, 3)."""
        return F.mse_loss(decoded, surface_jacobians(target.solver, truth).to(decoded.dtype).flatten(-2))


class NJFModule(TransferModule):
    """Trains the baseline, `NeuralJacobianFields`.

    Args:
        network: its options.
        vertex_weight, jacobian_weight, normalize: see `TransferModule`.
    """

    network: NeuralJacobianFields

    def __init__(
        self,
        network: Mapping[str, Any] | None = None,
        vertex_weight: float = 1.0,
        jacobian_weight: float = 0.0,
        normalize: str = "unit_cube",
    ) -> None:
        super().__init__(vertex_weight, jacobian_weight, normalize)
        self.save_hyperparameters()
        self.network = NeuralJacobianFields(**(network or {}))
