"""predict.py task=retarget: a motion on the user's own rigged character."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from contrapposto.errors import ConfigError, InputError
from contrapposto.outputs import free_stem
from contrapposto.tasks.base import read_clip

_SUFFIXES = (".glb", ".gltf", ".vrm")


class Retarget:
    """A motion on the skeleton of a character; see configs/retarget.yaml for the options.

    Args:
        fps: key frames per second; None: the motion's.
        target_map: names of the character's joints to SMPL's (a yaml file, or a mapping), where they do not tell.
        video: whether to draw the character as well.
        size: of the video, pixels.
    """

    def __init__(
        self,
        fps: float | None = None,
        target_map: str | Mapping[str, str] | None = None,
        video: bool = True,
        size: int = 512,
    ) -> None:
        self.fps, self.target_map, self.video, self.size = fps, target_map, video, size

    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Write the character `target=` with the motion `source` into `output`."""
        if not config.target:
            raise ConfigError("No character given.", expected="target=CHARACTER.glb or .vrm")
        target = check_rig(config.target, self.target_map)
        motion = read_clip(source)
        suffix = ".vrm" if target.suffix.lower() == ".vrm" else ".glb"
        endings = (suffix, ".mp4") if self.video else (suffix,)
        stem = free_stem(output / f"{target.stem}_{source.stem}", endings)
        return character_files(
            stem,
            suffix,
            motion,
            target,
            fps=self.fps,
            joint_map=self.target_map,
            video=self.video,
            size=self.size,
        )


def check_character(path: Path) -> Path:
    """A character's file, if it can be one; looked at before the first long step.

    Raises:
        InputError: no such file, or another suffix.
    """
    from contrapposto.mesh.files import check_mesh_name

    if not path.is_file():
        raise InputError(f"There is no file {path}.", expected="a rigged character, .glb or .vrm")
    check_mesh_name(path)
    if path.suffix.lower() not in _SUFFIXES:
        raise InputError(f"{path} has no skeleton.", expected=", ".join(_SUFFIXES))
    return path


def check_rig(path: str | Path, joint_map: str | Mapping[str, str] | None = None) -> Path:
    """A character whose skeleton is recognised, by its names or a map of them; looked at before the first long step.

    Raises:
        InputError: see `check_character`; or no human skeleton.
    """
    from contrapposto.checks import parsing
    from contrapposto.io.reading import read_joint_map
    from contrapposto.mesh.figure import read_figure
    from contrapposto.mesh.rig import Rig

    names = read_joint_map(joint_map) if isinstance(joint_map, str) else joint_map
    with parsing(path, "a rigged human figure"):
        read_figure(Rig(check_character(Path(path))), names)
    return Path(path)


def on_rig(paths: Sequence[Path], rig: Path) -> list[Path]:
    """Every motion (`.npz`) among the files that a task wrote, on a character as well."""
    from contrapposto.io.amass import written_here

    created: list[Path] = []
    for path in paths:
        if path.suffix == ".npz" and written_here(path):
            suffix = ".vrm" if rig.suffix.lower() == ".vrm" else ".glb"
            stem = free_stem(path.with_name(f"{path.stem}_{rig.stem}"), (suffix,))
            created += character_files(stem, suffix, read_clip(path), rig, video=False)
    return created


def character_files(
    stem: Path,
    suffix: str,
    motion: Any,
    target: Path,
    *,
    fps: float | None = None,
    joint_map: str | Mapping[str, str] | None = None,
    video: bool = True,
    size: int = 512,
) -> list[Path]:
    """Write a character with a motion, and a video of it; prints how the feet stand."""
    from contrapposto.io.reading import read_joint_map
    from contrapposto.mesh.character import animate_character

    names = read_joint_map(joint_map) if isinstance(joint_map, str) else joint_map
    path = stem.with_name(f"{stem.name}{suffix}")
    credit = "; ".join(dict.fromkeys(motion.credits))
    created = animate_character(path, motion, target, joint_map=names, name=stem.name, fps=fps, credit=credit)
    rate = fps or motion.fps
    slide, height = foot_contact(
        created.joints / created.scale, created.index, rate, created.floor / created.scale
    )
    print(
        f"{target.name}: feet slide {slide * 100:.1f} cm/s while they stand, ankles {height * 100:.1f} cm above the floor"
    )
    return [path, _video(stem.with_name(f"{stem.name}.mp4"), path, rate, size)] if video else [path]


def foot_contact(
    joints: np.ndarray, index: Mapping[str, int], fps: float, floor: float
) -> tuple[float, float]:
    """Mean horizontal speed (m/s) of standing ankles, and their median height above the floor (m).

    Args:
        joints: (F, J, 3), y up, metres of a person of usual size.
        index: SMPL joint to joint.
        fps: frames per second.
        floor: height of the floor.
    """
    ankles = joints[:, [index["left_ankle"], index["right_ankle"]]]
    if len(ankles) < 2:
        return 0.0, float(np.median(ankles[..., 1]) - floor)
    speed = np.linalg.norm(np.diff(ankles[..., [0, 2]], axis=0), axis=-1) * fps
    height = ankles[1:, :, 1] - floor
    stands = height < np.percentile(height, 5) + 0.03
    return float(speed[stands].mean()), float(np.median(height[stands]))


def _video(path: Path, character: Path, fps: float, size: int) -> Path:
    from contrapposto.mesh import RiggedMesh
    from contrapposto.render.meshes import Panel, render_mesh_video

    rigged = RiggedMesh(character)
    rate = min(fps, 30.0)
    frames = rigged.frames(next(iter(rigged.clips)), rate)
    return render_mesh_video(
        path, {character.stem: Panel(rigged.mesh, frames)}, size=(size, size), fps=rate, progress=True
    )
