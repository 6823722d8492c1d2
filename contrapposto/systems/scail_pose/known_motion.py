"""Motion that is known already, from whatever file holds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from contrapposto.checks import parsing
from contrapposto.errors import ConfigError
from contrapposto.io import READABLE, read_motion
from contrapposto.systems.scail_pose.drawn_motion import clip_of_joints, clip_of_motion, read_figure
from contrapposto.systems.scail_pose.interchange import read_clip_people
from contrapposto.systems.scail_pose.people import ClipPoses, choose_people
from contrapposto.systems.scail_pose.settings import Settings


def read_source(
    path: Path,
    height: int,
    width: int,
    settings: Settings,
    *,
    figure: Path | None = None,
    turn: float = 0.0,
    lift: Callable[[ClipPoses], ClipPoses] | None = None,
) -> tuple[ClipPoses, Settings]:
    """A clip to draw, and the settings with the stick figure that suits it.

    Args:
        path: people of a clip, keypoints, `joints` of any skeleton as npz, or motion.
        height, width: of the image in pixels where the file does not say.
        settings: of the drawing; `people` is applied here, and `clean` to estimates (motion of skeletons needs no repair).
        figure: json file of a stick figure; npz with `joints` need one.
        turn: see `clip_of_motion`.
        lift: finds joints in space where only keypoints are known.

    Raises:
        InputError: nothing that can be read.
        ConfigError: joints without a stick figure.
    """
    names = _names(path)
    if "joints" in names and "format" not in names:
        if figure is None:
            raise ConfigError(
                f"{path.name} holds joints of a skeleton of its own.", expected="task.figure=FILE.json"
            )
        sticks = read_figure(figure)
        with parsing(path, "joints (T, n, J, 3)"), np.load(path, allow_pickle=False) as file:
            fps = float(file["fps"]) if "fps" in file.files else 16.0
            clip = clip_of_joints(file["joints"], height, width, fps)
        look = replace(settings.look, figure=sticks)
    elif (names and names.isdisjoint(("format", "joints3d_nonparam"))) or path.suffix.lower() in READABLE[1:]:
        clip, sticks_or_none = clip_of_motion(read_motion(path, native=True), height, width, turn=turn)
        look = settings.look if sticks_or_none is None else replace(settings.look, figure=sticks_or_none)
    else:
        clip, look = read_clip_people(path, height, width), replace(settings.look, stray=True)
        clip = clip if lift is None else lift(clip)
        clip = clip if settings.clean is None else settings.clean(clip)
    return clip.only(choose_people(clip, settings.people)), replace(settings, look=look)


def _names(path: Path) -> set[str]:
    """Names of the arrays of an npz file; none of another."""
    if path.suffix.lower() != ".npz":
        return set()
    with parsing(path, "an npz file"), np.load(path, allow_pickle=False) as file:
        return set(file.files)
