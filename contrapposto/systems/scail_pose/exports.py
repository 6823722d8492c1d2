"""The people of a clip for 3D programs: skinned figures and capsules as GLB, motion as BVH."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.errors import InputError
from contrapposto.files import atomic_path
from contrapposto.io import write_motion
from contrapposto.io.glb import continuous, write_glb
from contrapposto.mesh.gltf_document import Document
from contrapposto.motion import Motion
from contrapposto.systems.scail_pose.body_fit import clip_motions
from contrapposto.systems.scail_pose.cylinders import SMPL_FIGURE, StickFigure, make_cylinders
from contrapposto.systems.scail_pose.palette import Palette, palettes_for
from contrapposto.systems.scail_pose.people import ClipPoses

EXPORTS = ("figures", "capsules", "bvh")
"""figures: `figures.glb`, everybody as the skinned figure in one space; capsules: `capsules.glb`, the limbs as they are
drawn, in the camera's space; bvh: `person_0.bvh` and so on."""
_SIDES, _RINGS = 12, 6  # of a cylinder, and of a sphere
_CAMERA_TO_GLTF = (
    np.array([1.0, -1.0, -1.0]) / 1000
)  # millimetres, y down, z forward, to metres, y up, z backward


def write_exports(
    folder: Path, clip: ClipPoses, names: tuple[str, ...], figure: StickFigure = SMPL_FIGURE
) -> list[Path]:
    """Write some of `EXPORTS` and return their paths.

    Raises:
        InputError: figures or BVH of joints that are not the 24 of SMPL, or nobody whose shoulders are known.
    """
    paths = []
    if "figures" in names or "bvh" in names:
        motions = motions_in_time(clip)
        if not motions:
            raise InputError("Nobody's shoulders are ever known, so there is no motion to export.")
        if "figures" in names:
            people = {f"person {number}": motion for number, motion in motions.items()}
            paths.append(write_glb(folder / "figures.glb", people))
        if "bvh" in names:
            paths += [
                write_motion(folder / f"person_{number}.bvh", motion) for number, motion in motions.items()
            ]
    if "capsules" in names:
        paths.append(write_capsules(folder / "capsules.glb", clip, figure))
    return paths


def motions_in_time(clip: ClipPoses) -> dict[int, Motion]:
    """A motion for each person, all beginning with the clip: before they appear people wait in their first pose."""
    motions = {}
    for number, motion in clip_motions(clip).items():
        wait = round(float(motion.metadata["start"]) * clip.fps)
        frames = np.concatenate([np.zeros(wait, int), np.arange(motion.num_frames)])
        motions[number] = replace(
            motion, rotations=motion.rotations[frames], root_translation=motion.root_translation[frames]
        )
    return motions


def write_capsules(
    path: Path, clip: ClipPoses, figure: StickFigure = SMPL_FIGURE, palettes: list[Palette] | None = None
) -> Path:
    """Write the limbs of a clip as an animated GLB: a cylinder for each limb, a sphere at each of its ends.

    Args:
        path: of the file.
        clip: the people; a limb is hidden where one of its ends is unknown.
        figure: limbs and their radii, in the unit of the joints.
        palettes: colours by the order of the people; None: those of the pose video.
    """
    document = Document()
    palettes = palettes_for(len(clip.ids)) if palettes is None else palettes
    times = document.array((np.arange(len(clip.frames)) / clip.fps).astype(np.float32), bounds=True)
    radius = float(np.median(figure.radii)) / 1000
    shapes = _shape(document, _cylinder(radius)), _shape(document, _sphere(radius))
    for place, number in enumerate(clip.ids):
        joints = np.full((len(clip.frames), figure.num_joints, 3), np.nan)
        for frame, people in enumerate(clip.frames):
            for person in people:
                if person.id == number:
                    joints[frame] = person.joints
        _add_person(
            document, f"person {number}", joints, figure, palettes[place % len(palettes)], shapes, times
        )
    with atomic_path(path) as temporary:
        temporary.write_bytes(document.encode(""))
    return path


def _add_person(
    document: Document,
    name: str,
    joints: np.ndarray,
    figure: StickFigure,
    palette: Palette,
    shapes: tuple[dict[str, int], dict[str, int]],
    times: int,
) -> None:
    places = joints * _CAMERA_TO_GLTF
    colors = make_cylinders(np.ones((1, figure.num_joints, 3)), [palette], figure=figure).color
    members: list[int] = []
    for (first, second), color in zip(figure.limbs, colors):
        material = len(document.materials)
        look = {
            "baseColorFactor": [*map(float, color[:3]), 1.0],
            "metallicFactor": 0.0,
            "roughnessFactor": 0.7,
        }
        document.materials.append({"pbrMetallicRoughness": look})
        ends = places[:, first], places[:, second]
        known: np.ndarray = np.isfinite(ends[0]).all(-1) & np.isfinite(ends[1]).all(-1)
        middle, turn, length = _axis(*(np.where(known[:, None], end, 0.0) for end in ends))
        scale = np.stack([known, known * length, known], axis=-1)
        label = f"{name} limb {first}-{second}"
        add = _adder(document, members, material, times)
        add(label, shapes[0], middle, turn, scale)
        for end in ends:
            shown = np.repeat(known[:, None], 3, axis=-1)
            add(f"{label} end", shapes[1], np.where(known[:, None], end, 0.0), None, shown)
    document.nodes.append({"name": name, "children": members})
    document.roots.append(len(document.nodes) - 1)


def _adder(document: Document, members: list[int], material: int, times: int) -> Callable[..., None]:
    def add(
        name: str, shape: dict[str, int], place: np.ndarray, turn: np.ndarray | None, scale: np.ndarray
    ) -> None:
        attributes = {"POSITION": shape["POSITION"], "NORMAL": shape["NORMAL"]}
        primitive: dict[str, Any] = {
            "attributes": attributes,
            "indices": shape["indices"],
            "material": material,
        }
        document.meshes.append({"primitives": [primitive]})
        document.nodes.append({"name": name, "mesh": len(document.meshes) - 1})
        node = len(document.nodes) - 1
        members.append(node)
        document.track(node, "translation", times, place.astype(np.float32))
        if turn is not None:
            document.track(node, "rotation", times, turn.astype(np.float32))
        document.track(node, "scale", times, scale.astype(np.float32))

    return add


def _axis(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middles (T, 3), quaternions (T, 4) xyzw that turn +y along the limb, and lengths (T,)."""
    along = second - first
    length = np.linalg.norm(along, axis=-1)
    along = np.where(length[:, None] > 1e-9, along / np.maximum(length, 1e-9)[:, None], [0.0, 1.0, 0.0])
    # The shortest turn from y to `along`: (y x along, 1 + y . along), normalised; half a turn about x if opposite.
    turn = np.stack([along[:, 2], np.zeros(len(along)), -along[:, 0], 1 + along[:, 1]], axis=-1)
    norm = np.linalg.norm(turn, axis=-1, keepdims=True)
    turn = np.where(norm > 1e-6, turn / np.maximum(norm, 1e-6), [1.0, 0.0, 0.0, 0.0])
    return (first + second) / 2, continuous(turn[:, None])[:, 0], length


def _shape(document: Document, mesh: tuple[np.ndarray, np.ndarray, np.ndarray]) -> dict[str, int]:
    vertices, normals, faces = mesh
    return {
        "POSITION": document.array(vertices.astype(np.float32), 34962, bounds=True),
        "NORMAL": document.array(normals.astype(np.float32), 34962),
        "indices": document.array(faces.astype(np.uint16).ravel(), 34963),
    }


def _cylinder(radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Open cylinder about y, one unit long: vertices, normals, faces."""
    angle = np.arange(_SIDES) * 2 * np.pi / _SIDES
    ring = np.stack([np.cos(angle), np.zeros(_SIDES), np.sin(angle)], axis=-1)
    vertices = np.concatenate([radius * ring - [0, 0.5, 0], radius * ring + [0, 0.5, 0]])
    return vertices, np.concatenate([ring, ring]), _strips(2)


def _sphere(radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sphere: vertices, normals, faces."""
    tilt = np.linspace(-np.pi / 2, np.pi / 2, _RINGS + 1)[:, None]
    angle = np.arange(_SIDES)[None] * 2 * np.pi / _SIDES
    height = np.broadcast_to(np.sin(tilt), (_RINGS + 1, _SIDES))
    normals = np.stack([np.cos(tilt) * np.cos(angle), height, np.cos(tilt) * np.sin(angle)], axis=-1).reshape(
        -1, 3
    )
    return radius * normals, normals, _strips(_RINGS + 1)


def _strips(rings: int) -> np.ndarray:
    """Faces between rings of `_SIDES` vertices, seen from outside."""
    faces = []
    for row in range(rings - 1):
        for side in range(_SIDES):
            a, b = row * _SIDES + side, row * _SIDES + (side + 1) % _SIDES
            faces += [(a, a + _SIDES, b), (b, a + _SIDES, b + _SIDES)]
    return np.array(faces)
