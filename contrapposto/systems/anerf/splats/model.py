"""An avatar of 3D Gaussians bound to the shipped body (docs/anerf.md, "The splat avatar")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from contrapposto.body import load_body
from contrapposto.systems.anerf.cameras import extrinsic
from contrapposto.systems.anerf.kinematics import bone_lengths
from contrapposto.systems.anerf.splats.raster import Projected, blend, project
from contrapposto.systems.anerf.view import View

NUM_LIGHTS = 9
"""Coefficients of the light over the direction of the normal: second-order spherical harmonics."""


@dataclass(frozen=True)
class SplatOptions:
    """How an avatar starts.

    Args:
        gaussians: how many.
        thickness: of a Gaussian across the surface, shares of the mean spacing; along it they are `width`.
        width: see `thickness`.
        opacity: logit.
        wrinkles: whether each Gaussian moves with the rotation of its own joints, linearly: for loose clothes.
        seed: of the places on the surface.
    """

    gaussians: int = 10_000
    thickness: float = 0.2
    width: float = 0.6
    opacity: float = 1.5
    wrinkles: bool = False
    seed: int = 0


class SplatAvatar(nn.Module):
    """Gaussians that linear blend skinning moves; their light depends on the direction of the posed normal.

    A Gaussian's mean is blend(position + offset), its axes are blend · frame · rotation · scale, with the four largest
    skinning weights of its place on the body. World units, as the scene's.

    Args:
        position: (N, 3) rest positions on the body.
        frame: (N, 3, 3) tangent, bitangent and normal there, as columns.
        joint: (N, 4) int32 joints, `weight` (N, 4) their shares.
        rest: (24, 3) rest joints of that body.
        figure: (24, 3) rest joints of the person, root at the origin, with which poses are made.
        spacing: mean distance of neighbours.
        options: of the start.
    """

    position: Tensor
    frame: Tensor
    joint: Tensor
    weight: Tensor
    rest: Tensor
    figure: Tensor
    spacing: Tensor

    def __init__(
        self,
        position: Tensor,
        frame: Tensor,
        joint: Tensor,
        weight: Tensor,
        rest: Tensor,
        figure: Tensor,
        spacing: float,
        options: SplatOptions | None = None,
    ) -> None:
        super().__init__()
        options = options or SplatOptions()
        count = len(position)
        buffers = {"position": position, "frame": frame, "weight": weight, "rest": rest, "figure": figure}
        for name, value in buffers.items():
            self.register_buffer(name, value.float().contiguous())
        self.register_buffer("joint", joint.int().contiguous())
        self.register_buffer("spacing", torch.tensor(float(spacing)))
        sizes = spacing * torch.tensor([options.width, options.width, options.thickness])
        light = torch.zeros(NUM_LIGHTS, 3)
        light[0] = 1
        self.offset = nn.Parameter(torch.zeros(count, 3))
        self.rotation = nn.Parameter(torch.tensor([1.0, 0, 0, 0]).repeat(count, 1))
        self.log_scale = nn.Parameter(sizes.log().repeat(count, 1))
        self.opacity = nn.Parameter(torch.full((count,), options.opacity))
        self.colour = nn.Parameter(torch.zeros(count, 3))
        self.light = nn.Parameter(light)
        self.wrinkles = nn.Parameter(torch.zeros(count, 3, 3)) if options.wrinkles else None

    @classmethod
    def on_body(cls, rest_pose: np.ndarray | Tensor, options: SplatOptions | None = None) -> SplatAvatar:
        """Gaussians spread by area over the shipped body, made as large as a figure.

        Args:
            rest_pose: (24, 3) rest joints of the figure, world units.
            options: of the start.
        """
        options = options or SplatOptions()
        body = load_body("smpl")
        rest = body.rest_joints()[0].double()
        wanted = torch.as_tensor(np.asarray(rest_pose), dtype=torch.float64)
        scale = float(bone_lengths(wanted).mean() / bone_lengths(rest).mean())
        vertices = ((body.rest_vertices()[0].double() - rest[0]) * scale).numpy()
        weights = body.skinning.weights.double().numpy()
        places = _spread(vertices, body.faces.numpy(), options.gaussians, options.seed)
        blended = torch.from_numpy(np.einsum("nk,nkj->nj", places.shares, weights[places.corners]))
        weight, joint = blended.topk(4, dim=1)
        return cls(
            torch.from_numpy(np.einsum("nk,nkd->nd", places.shares, vertices[places.corners])),
            torch.from_numpy(places.frames),
            joint,
            weight / weight.sum(1, keepdim=True),
            (rest - rest[0]) * scale,
            wanted - wanted[0],
            places.spacing,
            options,
        )

    @classmethod
    def of_state(cls, state: Mapping[str, Tensor]) -> SplatAvatar:
        """The avatar that a state dict holds."""
        options = SplatOptions(wrinkles="wrinkles" in state)
        position, frame, joint, weight, rest, figure = (
            state[name] for name in ("position", "frame", "joint", "weight", "rest", "figure")
        )
        spacing = float(state["spacing"])
        avatar = cls(position, frame, joint, weight, rest, figure, spacing, options)
        avatar.load_state_dict(dict(state))
        return avatar

    def __len__(self) -> int:
        return len(self.position)

    def blends(self, bone_to_world: Tensor) -> tuple[Tensor, Tensor]:
        """Rotations (24, 3, 3) and shifts (24, 3) of the joints from rest to a pose (24, 4, 4)."""
        turn = bone_to_world[:, :3, :3]
        return turn, bone_to_world[:, :3, 3] - (turn @ self.rest[..., None]).squeeze(-1)

    def project(self, bone_to_world: Tensor, view: View) -> Projected:
        """The Gaussians on an image.

        Args:
            bone_to_world: (24, 4, 4) of the pose.
            view: the camera.
        """
        rotations, shifts, *camera = self.posed(bone_to_world, view)
        return project(
            self.position,
            self.offset if self.wrinkles is None else self.offset + self.folds(rotations),
            self.rotation,
            self.log_scale,
            self.opacity,
            self.colour,
            self.joint,
            self.weight,
            self.frame,
            rotations,
            shifts,
            self.light,
            *camera,
        )

    def posed(self, bone_to_world: Tensor, view: View) -> tuple[Tensor, ...]:
        """What a pose and a camera are to the kernels: `blends`, camera's rotation, shift and (1, 4) intrinsics."""
        camera = extrinsic(view.camera_to_world.double()).float()
        centre = view.centre
        if centre is None:
            centre = camera.new_tensor([view.width * 0.5, view.height * 0.5])
        lens = torch.cat([view.focal.float().expand(2), centre.float()])
        matrix = camera[None, :3]
        return *self.blends(bone_to_world), matrix[..., :3], matrix[..., 3], lens[None]

    def folds(self, rotations: Tensor) -> Tensor:
        """(N, 3) offsets by the rotation of the joints against their parents."""
        from contrapposto import rotations as rot
        from contrapposto.systems.anerf.kinematics import PARENTS

        assert self.wrinkles is not None
        parents = list(PARENTS[1:])
        local = rot.matrix_to_axis_angle(rotations[parents].transpose(-1, -2) @ rotations[1:]).detach()
        turns = torch.cat([local.new_zeros(1, 3), local])
        own = (self.weight[..., None] * turns[self.joint.long()]).sum(1)
        return (self.wrinkles @ own[..., None]).squeeze(-1)

    def forward(self, bone_to_world: Tensor, view: View, *, threads: int = 1) -> tuple[Tensor, Tensor]:
        """Image of a pose.

        Args:
            bone_to_world: (24, 4, 4).
            view: the camera; its image is the whole image.
            threads: on the CPU.

        Returns:
            (H, W, 3) colours premultiplied by the opacity; (H, W) transmittance.
        """
        return blend(self.project(bone_to_world, view), view.height, view.width, threads=threads)


@dataclass(frozen=True)
class _Places:
    """Points on a surface: (N, 3) corners and their shares, (N, 3, 3) frames, mean distance of neighbours."""

    corners: np.ndarray
    shares: np.ndarray
    frames: np.ndarray
    spacing: float


def _spread(vertices: np.ndarray, faces: np.ndarray, count: int, seed: int) -> _Places:
    """`count` points on a surface, stratified by area in the order of the faces."""
    generator = np.random.default_rng(seed)
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(normal, axis=1) / 2
    share = (np.arange(count) + generator.random(count)) / count
    face = np.searchsorted(np.cumsum(area) / area.sum(), share).clip(0, len(faces) - 1)
    place = generator.random((count, 2))
    place = np.where(place.sum(1, keepdims=True) > 1, 1 - place, place)
    shares = np.concatenate([1 - place.sum(1, keepdims=True), place], axis=1)
    n = normal[face] / np.linalg.norm(normal[face], axis=1, keepdims=True)
    aside = np.where(np.abs(n[:, :1]) < 0.8, [[1.0, 0, 0]], [[0, 1.0, 0]])
    tangent = np.cross(n, aside)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    frames = np.stack([tangent, np.cross(n, tangent), n], axis=2)
    return _Places(faces[face], shares, frames, float(np.sqrt(area.sum() / count)))
