"""What was entered on the page, as arguments of `contrapposto predict`. One function for each tab.

Every function takes the job's folder: copies of the inputs are in `inputs`, results go to `results`, and what only
a later step reads to `steps`.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from contrapposto.errors import InputError
from contrapposto.systems.scail_pose.service.formats import (
    HEAD,
    IMAGE_FORMATS,
    VIDEO_FORMATS,
    image_suffix,
    video_suffix,
)

RECORDINGS = (".csv", ".txt", ".jsonl", ".npz", ".bvh")
MOTIONS = (".npz", ".bvh", ".glb")
MESHES = (".glb", ".vrm", ".obj", ".ply", ".stl", ".off")
"""Suffixes of files that the page takes. Formats that name further files (.gltf, .amc) are not among them."""
MOVES = ("Turntable", "Dance")
Steps = list[list[str]]


def track(folder: Path, recording: str | None, seconds: float, height: float | None, video: bool) -> Steps:
    """Three trackers to a body.

    Args:
        folder: of the job.
        recording: the uploaded file.
        seconds: no more of it than this.
        height: of the wearer, metres; None: as the default figure.
        video: draw the body as well.
    """
    source = taken(folder, recording, RECORDINGS, "a recording of three trackers")
    size = [f"task.height={height:g}"] if height else []
    return [
        _step("sage_track", folder, f"input={source}", f"task.seconds={seconds:g}", *size, _formats(video))
    ]


def generate(
    folder: Path,
    actions: Sequence[str],
    seconds: float,
    past: str | None,
    seed: float,
    video: bool,
) -> Steps:
    """Label, length and past to motion.

    Args:
        folder: of the job.
        actions: labels, one after the other.
        seconds: of each of them.
        past: a motion file that is continued; None: from nothing.
        seed: the same seed gives the same motion.
        video: draw the motion as well.

    Raises:
        InputError: no action.
    """
    if not actions:
        raise InputError("No action is chosen.", fix="choose at least one")
    options = [
        f"action=[{','.join(actions)}]",
        f"frames={round(30 * seconds)}",
        "count=1",
        f"seed={int(seed)}",
    ]
    options.append(_formats(video))
    if past is None:
        return [_step("posegpt_sample", folder, *options)]
    source = taken(folder, past, MOTIONS, "a motion")
    return [_step("posegpt_forecast", folder, f"past={source}", *options)]


def pose_mesh(folder: Path, mesh: str | None, motion: str | None, seconds: float, video: bool) -> Steps:
    """A mesh and a motion to the mesh in motion."""
    target = taken(folder, mesh, MESHES, "a mesh")
    source = taken(folder, motion, MOTIONS, "a motion")
    formats = "task.formats=[glb,mp4]" if video else "task.formats=[glb]"
    return [
        _step(
            "npr_transfer",
            folder,
            f"source={source}",
            f"target={target}",
            f"task.seconds={seconds:g}",
            formats,
        )
    ]


def draw_avatar(folder: Path, move: str, motion: str | None, seconds: float, height: float) -> Steps:
    """The shipped avatar: the camera goes round it, or it does what a motion shows; and its surface as a mesh."""
    surface = ["task.formats=[glb]", "task.resolution=160"]
    look = ["task.formats=[mp4,html]", f"task.height={int(height)}"]
    if move == MOVES[0]:
        return [
            _step(
                "anerf_render", folder, "mode=bullet", *look, f"task.options={{count: {round(13 * seconds)}}}"
            ),
            _step("anerf_mesh", folder, *surface),
        ]
    source = taken(folder, motion, MOTIONS, "a motion")
    clip = folder / "steps" / f"{source.stem}.npz"
    cut = ["task=convert", f"input={source}", f"output={clip.parent}", "task.formats=[npz]"]
    return [
        [*cut, f"task.seconds={seconds:g}", "task.fps=15"],
        _step(
            "anerf_render",
            folder,
            "mode=retarget",
            f"motion={clip}",
            *look,
            "task.fps=15",
            "task.framing=person",
        ),
        _step("anerf_mesh", folder, f"motion={clip}", "task.skin=true", *surface),
    ]


def find_people(folder: Path, video: str | None, reference: str | None, seconds: float, size: float) -> Steps:
    """A video, and the image of a character, to the pose video; and one of the people as motion.

    Args:
        folder: of the job.
        video: the uploaded file.
        reference: the uploaded image, or None.
        seconds: no more of the video than this.
        size: short side of the pose video in pixels; the long one is 1.75 times as long.
    """
    driving = taken(folder, video, None, "a video")
    character = [] if reference is None else [f"reference={taken(folder, reference, None, 'an image')}"]
    sides = f"task.data.resolution=[{int(size)},{round(1.75 * size / 16) * 16}]"
    people = folder / "results" / "motion.npz"
    person = ["task=people_motion", f"input={people}", f"output={folder / 'results' / 'person'}"]
    return [
        _step("scail_pose", folder, f"video={driving}", *character, sides, f"task.data.seconds={seconds:g}"),
        [*person, "task.formats=[npz,bvh,glb]"],
    ]


def taken(folder: Path, upload: str | None, suffixes: Sequence[str] | None, kind: str) -> Path:
    """A copy of an uploaded file in the job's folder, under a plain name.

    Args:
        folder: of the job.
        upload: path of the upload; None where there is none.
        suffixes: those that are taken; None: a video or an image by its first bytes.
        kind: for messages: `a mesh`.

    Raises:
        InputError: no file, or one of another format.
    """
    if upload is None:
        raise InputError(f"There is no file: this needs {kind}.", fix="upload one, or click an example")
    source = Path(upload)
    suffix = _sniffed(source, kind) if suffixes is None else source.suffix.lower()
    if suffixes is not None and suffix not in suffixes:
        raise InputError(
            f"{source.name} cannot be used as {kind}.",
            found=suffix or "no suffix",
            expected=", ".join(suffixes),
        )
    stem = re.sub(r"[^A-Za-z0-9-]+", "_", source.stem).strip("_")[:40] or "upload"
    copy = folder / "inputs" / kind.split()[-1] / f"{stem}{suffix}"
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, copy)
    return copy


def _sniffed(source: Path, kind: str) -> str:
    with source.open("rb") as file:
        head = file.read(HEAD)
    image = kind.endswith("image")
    suffix = image_suffix(head) if image else video_suffix(head)
    if suffix is None:
        raise InputError(f"{source.name} is not {kind}.", expected=IMAGE_FORMATS if image else VIDEO_FORMATS)
    return suffix


def shown(steps: Steps, folder: Path) -> str:
    """The commands of a job as a user would type them: file names alone, results in `out`."""
    lines = []
    for arguments in steps:
        short = [re.sub(rf"{re.escape(str(folder))}/inputs/[^/]+/", "", argument) for argument in arguments]
        short = [
            argument.replace(f"{folder}/results", "out").replace(f"{folder}/steps", "out")
            for argument in short
        ]
        lines.append(shlex.join(["contrapposto", "predict", *short]))
    return "\n".join(lines)


def _step(task: str, folder: Path, *options: str) -> list[str]:
    return [f"task={task}", *options, f"output={folder / 'results'}"]


def _formats(video: bool) -> str:
    return "task.formats=[npz,bvh,glb,mp4]" if video else "task.formats=[npz,bvh,glb]"
