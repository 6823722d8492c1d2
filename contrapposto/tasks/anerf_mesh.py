"""predict.py task=anerf_mesh: surfaces of a trained avatar (docs/specs/anerf.md, section 10)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from omegaconf import DictConfig

from contrapposto.body import BodyModel
from contrapposto.errors import ConfigError
from contrapposto.motion import Motion
from contrapposto.outputs import free_stem
from contrapposto.progress import say
from contrapposto.skeleton import SMPL24
from contrapposto.systems.anerf.avatar import Avatar
from contrapposto.systems.anerf.model import ANeRF
from contrapposto.systems.anerf.paths import PosePath
from contrapposto.systems.anerf.splats import SplatAvatar
from contrapposto.tasks.anerf_inputs import choose_frames, clip_path, load_avatar, make_path, motion_path
from contrapposto.tasks.base import read_clip
from contrapposto.tasks.mesh_turn import TURN_FORMATS, write_turn

if TYPE_CHECKING:
    from contrapposto.mesh import MeshAsset

MESH_FORMATS = ("ply", "glb", "obj")
SCALES = ("metres", "units", "unit_cube")
# SMPL's wrists and elbows beside hips, knees, head and each other; left knee and ankle beside right.
_ENDS = {20: (1, 4, 15, 21), 21: (2, 5, 15), 18: (0, 9), 19: (0, 9), 4: (5,), 7: (8,)}
_LIMB_PAIRS = tuple(zip(*((end, other) for end, others in _ENDS.items() for other in others)))


class AnerfMesh:
    """Surfaces of an avatar; see configs/task/anerf_mesh.yaml for the options.

    Raises:
        ConfigError: an option that cannot be used.
    """

    needs_input = False

    def __init__(
        self,
        formats: Sequence[str] = ("ply", "glb"),
        method: str = "splat",
        model: str = "auto",
        data: str = "anerf_scene",
        experiment: str | None = "auto",
        frames: Sequence[int] | None = None,
        most: int = 1,
        fps: float = 2.0,
        refined: bool = True,
        resolution: int = 255,
        radius: float = 1.8,
        threshold: float = 10.0,
        scale: str = "metres",
        largest: bool = True,
        skin: bool = False,
    ) -> None:
        known = (*MESH_FORMATS, *TURN_FORMATS)
        unknown = [name for name in formats if name not in known]
        if unknown or scale not in SCALES or resolution < 4:
            raise ConfigError(
                "An option of the mesh cannot be used.",
                found=f"formats={list(formats)}, scale={scale}, resolution={resolution}",
                expected=f"formats of {', '.join(known)}; scale of {', '.join(SCALES)}; resolution from 4",
            )
        self.formats, self.run = list(formats), (method, model, data, experiment)
        self.chosen, self.most, self.fps, self.refined = frames, most, fps, refined
        self.resolution, self.radius, self.threshold = resolution, radius, threshold
        self.scale, self.largest, self.skin = scale, largest, skin

    @torch.no_grad()
    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Write a mesh of every chosen frame, or of every frame of `motion=`, into `output`."""
        from contrapposto.mesh import write_mesh

        motion = clip_path(config.motion) if config.motion else None
        file = free_stem(output / ("skinned" if motion is None else motion.stem), [".glb"], "avatar")
        avatar = load_avatar(config, *self.run)
        if isinstance(avatar.network, SplatAvatar):
            points = free_stem(output / "splats", [".ply"])
            return self._splats(avatar, avatar.network, motion, file, points)
        chosen = choose_frames(avatar, "retarget", self.chosen, self.most)
        if self.skin:
            path = self._pose_to_skin(avatar, chosen)
            return [self._skinned(avatar, path, motion, file)]
        meshes = free_stem(output / "meshes", [""])
        if motion is not None:
            options: dict[str, Any] = {"travel": True, "turn": 0.0, "turns": 0.0}
            path = motion_path(avatar, motion, fps=self.fps, camera=chosen[0], **options)
        else:
            path = make_path(avatar, "selected", chosen, {}, refined=self.refined)
        paths, started = [], time.monotonic()
        for number in range(len(path)):
            mesh = self._mesh(avatar, path, number)
            stem = meshes / f"{number:03d}"
            files = [suffix for suffix in self.formats if suffix in MESH_FORMATS]
            paths += [write_mesh(stem.with_name(f"{stem.name}.{suffix}"), mesh) for suffix in files]
            if files != self.formats:
                paths += write_turn(stem, _standing(mesh, self.scale), self.formats)
            say(number + 1, len(path), started)
        return paths

    def _mesh(self, avatar: Avatar, path: PosePath, number: int) -> MeshAsset:
        """The surface in the wanted units; metres have y up, the others the axes of A-NeRF's world."""
        from contrapposto.mesh import MeshAsset

        root = path.joints[number, 0]
        vertices, faces, colours = self._surface(avatar, path, number)
        points = vertices.astype(np.float64)
        if self.scale == "unit_cube":
            points = (points - root.numpy()) / (2 * self.radius)
        elif self.scale == "metres":
            points = points * [1, -1, -1] * (avatar.metres_per_unit)
        opaque = np.full((len(colours), 1), 255, np.uint8)
        return MeshAsset(
            points, faces, vertex_colors=np.concatenate([colours, opaque], axis=1), name="avatar"
        )

    def _surface(self, avatar: Avatar, path: PosePath, number: int) -> tuple[np.ndarray, ...]:
        """Vertices (V, 3) in the world, faces (F, 3), colours (V, 3) uint8."""
        from contrapposto.systems.anerf.mesh import density_grid, surface, vertex_colours

        pose, root = path.world_to_bone[number], path.joints[number, 0]
        assert isinstance(avatar.network, ANeRF)
        grid = density_grid(avatar.network, pose, root, resolution=self.resolution, radius=self.radius)
        vertices, faces = surface(
            grid, root, radius=self.radius, threshold=self.threshold, largest=self.largest
        )
        return vertices, faces, vertex_colours(avatar.network, vertices, faces, pose)

    def _pose_to_skin(self, avatar: Avatar, chosen: Sequence[int]) -> PosePath:
        """The pose that is given; else the learnt one whose limbs keep the largest distance, lest they grow together."""
        if self.chosen is not None:
            return make_path(avatar, "selected", chosen[:1], {}, refined=self.refined)
        if avatar.scene is None:
            return make_path(avatar, "selected", [0], {}, refined=self.refined)
        images = avatar.scene.split(avatar.split)
        images = images[np.unique(avatar.scene.kp_idxs[images], return_index=True)[1]]
        joints = make_path(avatar, "selected", images.tolist(), {}, refined=self.refined).joints
        ends, others = joints[:, _LIMB_PAIRS[0]], joints[:, _LIMB_PAIRS[1]]
        best = int((ends - others).norm(dim=-1).amin(1).argmax())
        return make_path(avatar, "selected", [int(images[best])], {}, refined=self.refined)

    def _splats(
        self, avatar: Avatar, network: SplatAvatar, motion: Path | None, file: Path, points: Path
    ) -> list[Path]:
        """The body with the avatar's shape and texture on its skeleton, and the Gaussians themselves."""
        from contrapposto.systems.anerf.splats.mesh import skinned_mesh, write_ply

        body, surface = skinned_mesh(network, avatar.metres_per_unit)
        return [
            _write_skinned(body, motion, file, texture=surface),
            write_ply(points.with_name(f"{points.name}.ply"), network, avatar.metres_per_unit),
        ]

    def _skinned(self, avatar: Avatar, path: PosePath, motion: Path | None, file: Path) -> Path:
        """The surface of one pose on the skeleton, moved by a clip, or at rest."""
        from contrapposto.systems.anerf.skinning import skinned_body

        vertices, faces, colours = self._surface(avatar, path, 0)
        metres = avatar.metres_per_unit
        body = skinned_body(vertices, faces, path.world_to_bone[0], avatar.figure, metres)
        return _write_skinned(body, motion, file, colors=colours)


def _standing(mesh: MeshAsset, scale: str) -> MeshAsset:
    """The mesh with y up."""
    return mesh if scale == "metres" else replace(mesh, vertices=mesh.vertices * [1, -1, -1])


def _write_skinned(
    body: BodyModel,
    motion: Path | None,
    stem: Path,
    colors: np.ndarray | None = None,
    texture: MeshAsset | None = None,
) -> Path:
    """A GLB `stem.glb` of a body that a clip moves, or that stands at rest; colours and texture: see `write_glb`."""
    from contrapposto.io.glb import write_glb

    if motion is None:
        upright = np.zeros((1, 24, 3))
        upright[0, 0, 0] = np.pi / 2
        x, y, z = body.rest_joints()[0, 0].tolist()
        height = y - body.rest_vertices()[0, :, 1].min().item()
        # A clip's place is counted from the root at rest, whose axes are y up; this root stands over the origin.
        clip = Motion(upright, np.array([[-x, -y, height - z]]), 1.0, SMPL24)
    else:
        clip = read_clip(motion)
    return write_glb(
        stem.with_name(f"{stem.name}.glb"), {"avatar": clip}, body, colors=colors, texture=texture
    )
