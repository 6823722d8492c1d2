"""What the mesh tasks of predict.py write: series of OBJ files, one animated GLB, videos and sheets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from contrapposto.errors import ConfigError
from contrapposto.mesh import MeshAsset, write_mesh, write_mesh_glb
from contrapposto.mesh.gltf_write import most_frames

MESH_FORMATS = ("obj", "glb", "morph", "mp4", "png")


def check_formats(formats: Sequence[str]) -> list[str]:
    """The formats, if all are known.

    Raises:
        ConfigError: an unknown one.
    """
    unknown = [name for name in formats if name not in MESH_FORMATS]
    if unknown:
        raise ConfigError(f"Unknown format {unknown[0]!r}.", expected=", ".join(MESH_FORMATS))
    return list(formats)


def write_poses(
    stem: Path,
    mesh: MeshAsset,
    frames: np.ndarray,
    names: Sequence[str],
    fps: float | None,
    formats: Sequence[str],
    credit: str = "",
) -> list[Path]:
    """Write poses (T, V, 3) of a mesh: `obj` as a folder of files (one file where there is one pose), `glb` as one.

    `morph`: as `glb`, every frame a morph target, in a file of its own.
    """
    paths: list[Path] = []
    if "morph" in formats:
        paths += write_poses(stem.with_name(f"{stem.name}_morph"), mesh, frames, names, fps, ["glb"], credit)
    if "obj" in formats:
        paths.append(_obj(stem, mesh, frames, names))
    if "glb" in formats and len(frames) == 1:
        paths.append(write_mesh_glb(stem.with_name(f"{stem.name}.glb"), mesh.moved(frames[0]), credit=credit))
    elif "glb" in formats:
        step = -(-len(frames) // most_frames(mesh))
        if step > 1:
            print(f"the GLB has every {step}. frame: {len(frames)} of this mesh are too many for one file")
        rate = (fps or 1.0) / step  # poses without an order in time: one a second
        paths.append(
            write_mesh_glb(stem.with_name(f"{stem.name}.glb"), mesh, frames[::step], rate, credit=credit)
        )
    return paths


def _obj(stem: Path, mesh: MeshAsset, frames: np.ndarray, names: Sequence[str]) -> Path:
    from contrapposto.mesh.obj import write_obj_poses

    if len(frames) == 1:
        return write_mesh(stem.with_name(f"{stem.name}.obj"), mesh.moved(frames[0]))
    folder = stem.with_name(f"{stem.name}_obj")
    write_obj_poses([folder / f"{_plain(name)}.obj" for name in names], mesh, frames)
    return folder


def _plain(name: str) -> str:
    return (
        "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name).strip(".")
        or "pose"
    )


def credit_of(*metadata: dict[str, str]) -> str:
    """One line from the licences of what went into a result."""
    parts = [
        f"{one['source']} ({one['licence']})" for one in metadata if "source" in one and "licence" in one
    ]
    return "; ".join(dict.fromkeys(parts))
