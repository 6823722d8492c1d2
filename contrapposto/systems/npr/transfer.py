"""Poses of one mesh on any other mesh (docs/specs/npr.md, sections 1, 11 and 13)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from contrapposto.devices import Device, device_of, in_chunks
from contrapposto.errors import InputError
from contrapposto.mesh.asset import MeshAsset
from contrapposto.mesh.blend import blend_jacobians, polar
from contrapposto.mesh.operators import face_centroids
from contrapposto.mesh.template import Template
from contrapposto.systems.npr.alignment import aligned_centroids
from contrapposto.systems.npr.extractor import PoseCode, interpolate_codes
from contrapposto.systems.npr.model import NPR
from contrapposto.systems.npr.njf import NeuralJacobianFields
from contrapposto.systems.npr.pretrained import load_network
from contrapposto.systems.npr.refiner import PoseRefiner
from contrapposto.systems.npr.residual import ResidualNPR, Spread, surface_jacobians

Codes = PoseCode | Tensor
Place = Literal["origin", "template", "carry", "ground"]
PLACES: tuple[Place, ...] = ("origin", "template", "carry", "ground")
_FEWEST_FACES = 16


@dataclass(frozen=True)
class SourcePoses:
    """Poses taken off a source: encode once, apply to many targets.

    Args:
        codes: (T poses) in the source's normalised units; what the model's `encode` gives.
        rotations: (T, 3, 3) of each pose as a whole, taken off before encoding; identities where it was left in.
        shifts: (T, 3) of the mean vertex against the template's, as shares of the source's size.
        lows: (T,) height of the lowest vertex over that of the template, in the same unit; y is up.
    """

    codes: Codes
    rotations: Tensor
    shifts: Tensor
    lows: Tensor


class PoseTransfer:
    """A source with its poses, and targets that take them.

    Works with any weights; what comes out is as good as they are.

    Args:
        model: trained on the source; `NPR`, or the baseline. It is put into evaluation mode.
        source: template of the source: same faces as its poses.
        refiner: of the target, trained for it; None: none.
        place: where the mean vertex of a posed target lies: `origin` (as the release), `template` (where the
            template's is), `carry` (moved with the source, scaled by the sizes of the two), or `ground`: the same,
            scaled by their heights (y is up), and the lowest vertex as far above the ground as the source's.
        canonical_rotation: take the rotation of each pose as a whole off before the network sees it and put it back
            on afterwards, so that a turned source gives the turned result. For figures that turn in the world, where
            the network was not trained on turned ones.
        rest_correction: take off what the network states of the source's template, so that the rest pose of the source
            gives exactly the target's template: Jacobians are multiplied by the inverse, vertices are subtracted.
        align: ask for a target's faces where these parts lie on the source (`alignment`), if both are figures with
            their arms out; others, and models that are not `NPR` of Jacobians, are asked by their own places.
        rigid: share, 0 to 1, of the stretch of every face that is taken back: networks average what they are unsure of;
            averages of rotations shrink, so limbs come out thin. Jacobians only. For weak networks of the paper's kind.
        batch_size: poses in one pass of the networks; None: 16 of a residual network, which shares places among them, else 4.
        decoded_faces: a residual network corrects so many of a target's faces, spread over it, and the others are
            interpolated between the four nearest of them; None: it corrects all. With 1,000 the result moves by less than
            a ten-thousandth of the target's size (root mean square). The paper's network always decodes all.

    Raises:
        InputError: a source with fewer than 16 faces.
    """

    def __init__(
        self,
        model: NPR | NeuralJacobianFields,
        source: Template | MeshAsset,
        *,
        refiner: PoseRefiner | None = None,
        place: Place = "template",
        canonical_rotation: bool = False,
        rest_correction: bool = False,
        align: bool = False,
        rigid: float = 0.0,
        batch_size: int | None = None,
        decoded_faces: int | None = 1000,
    ) -> None:
        if place not in PLACES:
            raise ValueError(f"place: expected one of {', '.join(PLACES)}, got {place!r}")
        self.model, self.refiner = model.eval(), refiner
        self.source = source if isinstance(source, Template) else Template(source)
        if self.source.num_faces < _FEWEST_FACES:
            raise InputError(
                "The source has too few faces for the networks to look at.",
                found=f"{self.source.num_faces} faces",
                expected=f"at least {_FEWEST_FACES}",
                fix="subdivide it (contrapposto.mesh.subdivide)",
            )
        self.place: Place = place
        self.canonical_rotation, self.rest_correction = canonical_rotation, rest_correction
        self.align = align and isinstance(model, NPR) and model.output == "jacobians"
        self.batch_size = batch_size or (16 if isinstance(model, ResidualNPR) else 4)
        self.rigid = rigid if model.output == "jacobians" else 0.0
        self.decoded_faces = decoded_faces if isinstance(model, ResidualNPR) else None
        self._aligned: tuple[Template, Tensor | None] | None = None
        self._spread: tuple[Template, Spread] | None = None

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path = "npr_residual",
        source: Template | MeshAsset | None = None,
        *,
        device: Device = None,
        **options: Any,
    ) -> PoseTransfer:
        """A transfer by a trained network.

        Args:
            name_or_path: a shipped model, a folder, a checkpoint or the authors' file; see `pretrained.load_network`.
            source: template of the poses; None: the first mesh that the network was trained on.
            device: where it runs, see `contrapposto.devices.find_device`.
            options: see the class.

        Raises:
            MissingError, ConfigError, InputError: see `load_network`; no source is named and the network brings none.
        """
        trained = load_network(name_or_path, device=device)
        if source is None:
            source = next(iter(trained.templates.values()), None)
        if source is None:
            raise InputError("The network brings no mesh.", fix="source=TEMPLATE, the rest pose of the poses")
        template = source if isinstance(source, Template) else Template(source, normalize=trained.normalize)
        return cls(trained.network, template, **{"refiner": trained.refiner, **options})

    @torch.no_grad()
    def encode(
        self, poses: np.ndarray, rotations: np.ndarray | None = None, means: np.ndarray | None = None
    ) -> SourcePoses:
        """Take poses (T, V, 3) of the source, in its units and vertex order.

        Args:
            poses: as the network shall see them.
            rotations: (T, 3, 3) of each pose as a whole where it has been taken off the poses already; None: it is in
                them.
            means: (T, 3) where the mean vertex of each pose lies with them; None: where it is.

        Raises:
            InputError: another number of vertices than the template, or values that are not finite.
        """
        if np.ndim(poses) != 3 or not len(poses):
            raise InputError(
                "Poses come as frames of vertices.", found=str(np.shape(poses)), expected="(T, V, 3)"
            )
        vertices = self.source.normalized(poses)
        rest = self.source.solver.vertices
        centres = vertices.mean(1, keepdim=True)
        places = centres[:, 0]
        if means is not None:
            places = torch.from_numpy((np.asarray(means, np.float64) - self.source.centre) / self.source.side)
        turns = torch.eye(3, dtype=torch.float64).expand(len(vertices), 3, 3)
        if rotations is not None:
            turns = torch.from_numpy(np.array(rotations, np.float64))
        elif self.canonical_rotation:
            turns = best_rotations(rest, vertices)
            vertices = (vertices - centres) @ turns + rest.mean(0)
            centres = vertices.mean(1, keepdim=True)
        heights = ((vertices - centres) @ turns.transpose(-1, -2))[..., 1].amin(1) + places[:, 1]
        reference = next(self.model.parameters())
        inputs = vertices.to(reference.device, reference.dtype).split(self.batch_size)
        codes = _joined([self.model.encode(self.source.solver, part) for part in inputs])
        return SourcePoses(codes, turns, places - rest.mean(0), heights - rest[:, 1].min())

    def transfer(
        self,
        poses: np.ndarray | SourcePoses,
        target: Template | MeshAsset,
        *,
        smooth: float = 0.0,
        turns: Tensor | None = None,
    ) -> np.ndarray:
        """Pose a target.

        Args:
            poses: (T, V, 3) of the source, or what `encode` gave for them.
            target: any mesh; make a `Template` of it once where it is used several times.
            smooth: standard deviation, in frames, of a smoothing over time of a sequence; 0: none.
            turns: (F, 3, 3) rotation that brings each face of the clean target from its rest pose to the source's; None:
                both rest in the same pose.

        Returns:
            (T, V_target, 3) float64 in the target's vertex order and units. One factorisation serves all poses.
        """
        encoded = poses if isinstance(poses, SourcePoses) else self.encode(poses)
        template = target if isinstance(target, Template) else Template(target)
        shape = self.apply(encoded.codes, template, turns)
        if smooth > 0:
            shape = torch.from_numpy(gaussian_filter1d(shape.numpy(), smooth, axis=0, mode="nearest"))
        return self._put(template, shape @ encoded.rotations.transpose(-1, -2), encoded.shifts, encoded.lows)

    @torch.no_grad()
    def apply(self, codes: Codes, template: Template, turns: Tensor | None = None) -> Tensor:
        """Pose codes of any origin (T) to (T, V', 3) float64: the clean target in its normalised units, mean at 0.

        `turns`: see `transfer`.
        """
        rest = self._decode(self._rest_code(), template) if self.rest_correction else None

        def run(size: int) -> Tensor:
            parts = []
            for start in range(0, len(codes), size):
                decoded = self._decode(codes[start : start + size], template)
                parts.append(self._vertices(self._corrected(decoded, rest, turns, template), template))
            return torch.cat(parts)

        result, self.batch_size = in_chunks(run, self.batch_size, device=device_of(self.model))
        return result

    def _corrected(
        self, decoded: Tensor, rest: Tensor | None, turns: Tensor | None, template: Template
    ) -> Tensor:
        """Decoded values without what the network states of the rest pose, and from the target's own rest pose."""
        if rest is None and turns is None:
            return decoded
        if self.model.output == "vertices":
            return decoded if rest is None else decoded - rest + template.solver.vertices
        field = self._field(decoded, template)
        if rest is not None:
            field = field @ torch.linalg.inv(self._field(rest, template))
        return field if turns is None else field @ turns.to(field)

    def _field(self, decoded: Tensor, template: Template) -> Tensor:
        """Full-rank Jacobians (B, F, 3, 3) of decoded ones."""
        if isinstance(self.model, ResidualNPR):
            return decoded.unflatten(-1, (3, 3))
        return surface_jacobians(template.solver, template.solve(decoded))

    @torch.no_grad()
    def interpolate(
        self,
        poses: np.ndarray | SourcePoses,
        target: Template | MeshAsset,
        shares: Sequence[float],
        *,
        by: str = "jacobians",
    ) -> np.ndarray:
        """Between two poses.

        Args:
            poses: (2, V, 3) of the source, or what `encode` gave for them.
            target: any mesh.
            shares: 0 gives the first pose, 1 the second.
            by: `jacobians`: blend the decoded field, rotations along arcs; `codes`: match and blend the keypoints.

        Returns:
            (S, V_target, 3).
        """
        template = target if isinstance(target, Template) else Template(target)
        encoded = poses if isinstance(poses, SourcePoses) else self.encode(poses)
        if len(encoded.codes) != 2 or by not in ("jacobians", "codes") or self.model.output != "jacobians":
            raise ValueError(
                f"interpolation of {len(encoded.codes)} poses by {by!r}: expected 2, jacobians or codes"
            )
        if by == "codes":
            shape = self.apply(self._blended(encoded.codes, shares), template)
        else:
            ends = [self._completed(encoded.codes[i : i + 1], template) for i in range(2)]
            shape = torch.cat([template.solve(blend_jacobians(ends[0], ends[1], share)) for share in shares])
        fraction = torch.tensor(shares, dtype=torch.float64)[:, None]
        first, second = encoded.rotations[:1], encoded.rotations[1:]
        turn = torch.cat([blend_jacobians(first, second, share) for share in shares])
        shifts = torch.lerp(encoded.shifts[:1], encoded.shifts[1:], fraction)
        lows = torch.lerp(encoded.lows[:1], encoded.lows[1:], fraction[:, 0])
        return self._put(template, shape @ turn.transpose(-1, -2), shifts, lows)

    def _blended(self, codes: Codes, shares: Sequence[float]) -> Codes:
        if not isinstance(self.model, NPR) or not isinstance(codes, PoseCode):
            raise ValueError("by: only NPR's codes can be blended, take jacobians")
        first, second = codes[:1], codes[1:]
        return _joined([interpolate_codes(self.model.encoder, first, second, share) for share in shares])

    def _completed(self, code: Codes, template: Template) -> Tensor:
        """Decoded Jacobians as the solved surface has them."""
        return surface_jacobians(template.solver, self.apply(code, template))

    def _rest_code(self) -> Codes:
        reference = next(self.model.parameters())
        rest = self.source.solver.vertices.to(reference.device, reference.dtype)
        return self.model.encode(self.source.solver, rest[None])

    def _decode(self, codes: Codes, template: Template) -> Tensor:
        if isinstance(self.model, NPR) and isinstance(codes, PoseCode):
            if self.refiner is not None:
                codes = self.refiner.refine(self.model.encoder, codes)
            places = self.places(template)
            if isinstance(self.model, ResidualNPR):
                spread = self._spread_of(template, places)
                return self.model.decode(template.solver, codes, places, spread).double().cpu()
            return self.model.decode(template.solver, codes, places).double().cpu()
        if isinstance(self.model, NPR) or isinstance(codes, PoseCode):
            raise ValueError("codes: they are not of this kind of model")
        return self.model.decode(template.solver, codes).double().cpu()

    def places(self, template: Template) -> Tensor | None:
        """(F, 3) where the network is asked for a target's faces; None: at their centroids."""
        if not self.align or template is self.source:
            return None
        if self._aligned is None or self._aligned[0] is not template:
            self._aligned = (template, aligned_centroids(self.source, template))
        return self._aligned[1]

    def _spread_of(self, template: Template, places: Tensor | None) -> Spread | None:
        """Which faces of a target the network decodes; None: all."""
        count = self.decoded_faces
        if count is None or count >= template.num_faces:
            return None
        if self._spread is None or self._spread[0] is not template:
            solver = template.solver
            points = face_centroids(solver.vertices, solver.faces) if places is None else places
            self._spread = (template, Spread.over(points.float(), count))
        return self._spread[1]

    def _vertices(self, decoded: Tensor, template: Template) -> Tensor:
        if self.model.output == "vertices":
            return decoded - decoded.mean(-2, keepdim=True)
        vertices = template.solve(decoded)
        if not self.rigid:
            return vertices
        field = surface_jacobians(template.solver, vertices)
        return template.solve(torch.lerp(field, polar(field)[0], self.rigid))

    def _put(self, template: Template, shape: Tensor, shifts: Tensor, lows: Tensor) -> np.ndarray:
        """Centred normalised vertices to the target's units, order and place."""
        rest = template.solver.vertices
        mean = rest.mean(0)
        if self.place == "carry":
            shape = shape + (mean + shifts)[:, None]
        elif self.place == "ground":
            source = self.source.solver.vertices
            scale = np.ptp(rest[:, 1].numpy()) / max(float(np.ptp(source[:, 1].numpy())), 1e-12)
            shape = shape + (mean + scale * shifts)[:, None]
            wanted = rest[:, 1].min() + scale * lows
            shape[..., 1] += (wanted - shape[..., 1].amin(1))[:, None]
        elif self.place == "template":
            shape = shape + mean
        else:
            shape = shape - torch.from_numpy(template.centre / template.side)
        return template.restored(shape)


def best_rotations(rest: Tensor, poses: Tensor) -> Tensor:
    """(T, 3, 3) rotations that turn the template (V, 3) to lie on poses (T, V, 3) as well as can be (Kabsch)."""
    first, second = rest - rest.mean(0), poses - poses.mean(1, keepdim=True)
    left, _, right = torch.linalg.svd(second.transpose(-1, -2) @ first)
    flip = torch.ones(len(poses), 3, dtype=poses.dtype)
    flip[:, 2] = torch.det(left @ right).sign()
    return (left * flip[:, None]) @ right


def _joined(codes: Sequence[Codes]) -> Codes:
    poses = [code for code in codes if isinstance(code, PoseCode)]
    if not poses:
        return torch.cat([code for code in codes if isinstance(code, Tensor)])
    names = [field.name for field in fields(poses[0])]
    return type(poses[0])(*(torch.cat([getattr(pose, name) for pose in poses]) for name in names))
