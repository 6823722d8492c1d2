"""predict.py task=retarget: a motion on the user's own rigged character."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig

from contrapposto.errors import ConfigError, InputError
from contrapposto.outputs import free_stem
from contrapposto.tasks.base import read_clip

if TYPE_CHECKING:
    from contrapposto.mesh.character import Retargeted
    from contrapposto.motion import Motion

_SUFFIXES = (".glb", ".gltf", ".vrm")
_SLOW, _LOW = 0.15, 0.03  # m/s, and metres above the lowest place, of a foot that stands


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
    contact = foot_contact(motion if fps is None else motion.resample(fps), created)
    print(f"{target.name}: {contact.describe()}")
    return [path, *_video(stem.with_name(f"{stem.name}.mp4"), path, rate, size)] if video else [path]


@dataclass(frozen=True)
class Contact:
    """How the balls of a character's feet stand where those of the motion stand, in metres of a person of usual size.

    Args:
        standing: share of frames and feet in which one stands.
        slide: mean horizontal speed of the character's, and `own`: of the motion's.
        height: mean distance from their height at rest.
    """

    standing: float
    slide: float
    own: float
    height: float

    def describe(self) -> str:
        """One line."""
        if not self.standing:
            return "no foot of the motion stands"
        return (
            f"feet that stand slide {self.slide * 100:.1f} cm/s ({self.own * 100:.1f} in the motion) and are "
            f"{self.height * 100:.1f} cm from their height at rest"
        )


def foot_contact(motion: Motion, created: Retargeted) -> Contact:
    """Compare a character's feet with a motion's in the frames in which those are slow and low.

    Args:
        motion: of the SMPL family, z up, with the frames of `created`.
        created: what was made of it.
    """
    sides = ("left", "right")
    part = "foot" if all(f"{side}_foot" in created.index for side in sides) else "ankle"
    own = motion.joint_positions()[:, [motion.skeleton.joint_names.index(f"{side}_{part}") for side in sides]]
    own = own.astype(np.float64)[..., [0, 2, 1]]  # y up; which way round does not matter here
    feet = created.joints[:, [created.index[f"{side}_{part}"] for side in sides]] / created.scale
    if len(own) < 2:
        return Contact(0.0, 0.0, 0.0, 0.0)
    steps = np.linalg.norm(np.diff(own, axis=0), axis=-1) * motion.fps
    heights = own[1:, :, 1]
    stands = (steps < _SLOW) & (heights < np.percentile(heights, 5) + _LOW)
    if not stands.any():
        return Contact(0.0, 0.0, 0.0, 0.0)
    slide, own_slide = (
        float(np.linalg.norm(np.diff(places[..., [0, 2]], axis=0), axis=-1)[stands].mean() * motion.fps)
        for places in (feet, own)
    )
    away = np.abs(feet[1:, :, 1] - created.rest_height[part] / created.scale)[stands]
    return Contact(float(stands.mean()), slide, own_slide, float(away.mean()))


def _video(path: Path, character: Path, fps: float, size: int) -> list[Path]:
    """A video of a character; none of a file that holds a skeleton alone."""
    from contrapposto.mesh import RiggedMesh
    from contrapposto.mesh.rig import Rig
    from contrapposto.render.meshes import Panel, render_mesh_video

    if not any("mesh" in node for node in Rig(character).nodes):
        print(f"{character.name} has no mesh: no video is drawn")
        return []
    rigged = RiggedMesh(character)
    rate = min(fps, 30.0)
    frames = rigged.frames(next(iter(rigged.clips)), rate)
    panels = {character.stem: Panel(rigged.mesh, frames)}
    return [render_mesh_video(path, panels, size=(size, size), fps=rate, progress=True)]
