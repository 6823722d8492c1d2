"""`BodyModel`: a skinned figure of the SMPL family (Loper et al. 2015; SMPL-H: Romero et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from contrapposto.body.arrays import BodyArrays
from contrapposto.body.skinning import Skinning
from contrapposto.devices import full_precision
from contrapposto.motion import Motion
from contrapposto.skeleton import Skeleton, forward_kinematics

_CHUNK = 64


class BodyOutput(NamedTuple):
    """What a posed body gives: vertices (B, V, 3) and joints (B, J, 3), metres."""

    vertices: Tensor
    joints: Tensor


class BodyModel(nn.Module):
    """A mesh with shape directions on a skeleton; rotations are given as matrices, numbers are float32.

    All arrays are non-persistent buffers: they move with the module but never enter a checkpoint (the
    licences of the official bodies forbid passing them on). Under autocast the body still computes in its own
    precision.

    Args:
        arrays: checked arrays, see `BodyArrays.check`.

    Attributes:
        name, gender: for messages and files.
        shape_space: whose coefficients `betas` are; see `motion_vertices`.
        skeleton: J joints with this body's rest offsets at zero betas.
        faces: (F, 3) int64.
        num_betas: shape directions S; the last `num_dmpls` of them are dynamic ones (DMPL).
        named_shapes: coefficients (S,) by name; empty for official bodies.
    """

    faces: Tensor
    v_template: Tensor
    shape_directions: Tensor
    pose_directions: Tensor | None
    rest_template: Tensor
    rest_directions: Tensor

    def __init__(self, arrays: BodyArrays) -> None:
        super().__init__()
        self.name, self.gender, self.shape_space = arrays.name, arrays.gender, arrays.shape_space
        self.num_betas, self.num_dmpls = arrays.shapedirs.shape[2], arrays.num_dmpls
        self.named_shapes = {name: betas.copy() for name, betas in arrays.named_shapes.items()}
        regressor = arrays.regressor
        rest = regressor @ arrays.v_template.astype(np.float64)
        directions = np.stack([regressor @ arrays.shapedirs[:, c] for c in range(3)], axis=1)  # (J, 3, S)
        self.skeleton: Skeleton = arrays.skeleton(rest)
        self._buffer("faces", arrays.faces)
        self._buffer("v_template", arrays.v_template)
        self._buffer("shape_directions", arrays.shapedirs.reshape(-1, self.num_betas).T)
        self._buffer("pose_directions", arrays.flat_posedirs())
        self._buffer("rest_template", rest)
        self._buffer("rest_directions", directions.reshape(-1, self.num_betas).T)
        self.skinning = Skinning(torch.from_numpy(arrays.weights))

    def _buffer(self, name: str, array: np.ndarray | None) -> None:
        if array is not None and array.dtype != np.int64:
            array = np.ascontiguousarray(array, dtype=np.float32)
        self.register_buffer(name, None if array is None else torch.from_numpy(array), persistent=False)

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, Any],
        *,
        name: str = "body",
        gender: str = "neutral",
        dmpls: np.ndarray | None = None,
        max_betas: int | None = None,
    ) -> BodyModel:
        """A body from the entries of a standard SMPL-family file.

        Args:
            arrays: `v_template` (V, 3), `f` (F, 3), `shapedirs` (V, 3, S), `J_regressor` (J, V), `weights`
                (V, J), `kintree_table` (2, J) and optionally `posedirs` (V, 3, 9 (J - 1)).
            name: for messages.
            gender: for messages.
            dmpls: (V, 3, N) dynamic shape directions (`eigvec` of a DMPL file), appended to `shapedirs`.
            max_betas: keep only the first ones of `shapedirs`.

        Raises:
            InputError: an entry is missing, of a wrong shape or not finite.
        """
        return cls(BodyArrays.check(arrays, name=name, gender=gender, dmpls=dmpls, max_betas=max_betas))

    @property
    def num_vertices(self) -> int:
        """Number of vertices V."""
        return self.v_template.shape[0]

    def rest_joints(self, betas: Tensor | None = None) -> Tensor:
        """Joint positions (B, J, 3) of the rest pose for betas (B, S) or (S,); (1, J, 3) without betas.

        Fewer coefficients than `num_betas` count as followed by zeros.
        """
        return self._shaped(self.rest_template, self.rest_directions, betas)

    def rest_vertices(self, betas: Tensor | None = None) -> Tensor:
        """Vertices (B, V, 3) of the rest pose for betas (B, S) or (S,); (1, V, 3) without betas."""
        return self._shaped(self.v_template, self.shape_directions, betas)

    def joints(
        self, rotations: Tensor, root_translation: Tensor | None = None, betas: Tensor | None = None
    ) -> Tensor:
        """Joint positions (..., J, 3), without touching the mesh.

        Args:
            rotations: (..., J, 3, 3) local rotations.
            root_translation: (..., 3) metres, added to the root's rest position.
            betas: (..., S) or (S,).
        """
        return self._kinematics(rotations, root_translation, self._flat_rest(betas))[1]

    def forward(
        self, rotations: Tensor, root_translation: Tensor | None = None, betas: Tensor | None = None
    ) -> BodyOutput:
        """Pose the body: linear blend skinning of the shaped mesh, with pose correctives if the body has any.

        Args:
            rotations: (B, J, 3, 3) local rotations.
            root_translation: (B, 3) metres.
            betas: (B, S), (1, S) or (S,). One shape for the whole batch is the fast case.
        """
        rest_joints = self.rest_joints(betas)
        turns, joints = self._kinematics(rotations, root_translation, rest_joints)
        vertices = self.rest_vertices(betas)
        with full_precision(rotations):
            if self.pose_directions is not None:
                identity = torch.eye(3, dtype=turns.dtype, device=turns.device)
                feature = (rotations[:, 1:].to(turns.dtype) - identity).flatten(1)
                vertices = vertices + (feature @ self.pose_directions).unflatten(1, (-1, 3))
            shifts = joints - (turns @ rest_joints[..., None]).squeeze(-1)
            transforms = torch.cat([turns, shifts[..., None]], dim=-1)
            return BodyOutput(self.skinning(transforms, vertices), joints)

    def _kinematics(
        self, rotations: Tensor, root_translation: Tensor | None, rest_joints: Tensor
    ) -> tuple[Tensor, Tensor]:
        joints = self.skeleton.num_joints
        if tuple(rotations.shape[-3:]) != (joints, 3, 3):
            raise ValueError(
                f"body {self.name}: rotations must be (..., {joints}, 3, 3), got {tuple(rotations.shape)}"
            )
        with full_precision(rotations):
            above = rest_joints[..., [max(parent, 0) for parent in self.skeleton.parents], :]
            offsets = torch.cat([rest_joints[..., :1, :], (rest_joints - above)[..., 1:, :]], dim=-2)
            rotations = rotations.to(offsets.dtype)
            if root_translation is not None:
                root_translation = root_translation.to(offsets.dtype)
            return forward_kinematics(self.skeleton.parents, rotations, offsets, root_translation)

    def _flat_rest(self, betas: Tensor | None) -> Tensor:
        """Rest joints for betas with any leading dimensions: (J, 3) or (..., J, 3)."""
        if betas is None or betas.dim() == 1:
            return self.rest_joints(betas)[0]
        return self.rest_joints(betas.reshape(-1, betas.shape[-1])).unflatten(0, betas.shape[:-1])

    def _shaped(self, template: Tensor, directions: Tensor, betas: Tensor | None) -> Tensor:
        if betas is None:
            return template[None]
        betas = torch.atleast_2d(betas).to(template.dtype)
        if betas.dim() != 2 or betas.shape[1] > self.num_betas:
            raise ValueError(
                f"body {self.name}: betas must be (B, up to {self.num_betas}), got {tuple(betas.shape)}"
            )
        with full_precision(betas):
            return template + (betas @ directions[: betas.shape[1]]).unflatten(1, (-1, 3))


def motion_vertices(
    body: BodyModel,
    motion: Motion,
    frames: Sequence[int] | slice | None = None,
    *,
    betas: Sequence[float] | np.ndarray | None = None,
) -> np.ndarray:
    """Vertices (F, V, 3) float32 of a clip in the world (z up, metres), posed in chunks of 64 frames.

    Args:
        body: the figure.
        motion: a clip on a skeleton of the SMPL family; joints that the body lacks are left out.
        frames: which frames; all where absent.
        betas: shape to use instead of the clip's own.

    Coefficients mean something only for the body that they were made with. The clip's own betas are therefore
    used where `motion.metadata["shape_space"]` (absent: `smpl`, as in AMASS) is the body's `shape_space`,
    else zeros.

    Raises:
        InputError: the clip's skeleton is not of the SMPL family.
    """
    clip = motion.to_skeleton(body.skeleton)
    index = np.arange(clip.num_frames)[slice(None) if frames is None else frames]
    coefficients = clip_betas(body, motion) if betas is None else np.asarray(betas, np.float32)
    device = body.v_template.device
    shape = torch.from_numpy(np.ascontiguousarray(coefficients, dtype=np.float32)).to(device)
    rotations = clip.local_matrices()
    result = np.empty((len(index), body.num_vertices, 3), np.float32)
    with torch.inference_mode():
        for start in range(0, len(index), _CHUNK):
            chosen = index[start : start + _CHUNK]
            translation = torch.from_numpy(clip.root_translation[chosen]).to(device)
            output = body(rotations[chosen].to(device), translation, shape)
            result[start : start + _CHUNK] = output.vertices.cpu().numpy()
    return result


def clip_betas(body: BodyModel, motion: Motion) -> np.ndarray:
    """(S,) the clip's betas if they belong to this body's shape space, else none; see `motion_vertices`."""
    if motion.metadata.get("shape_space", "smpl") != body.shape_space:
        return np.zeros(0, np.float32)
    return motion.betas[: body.num_betas - body.num_dmpls]
