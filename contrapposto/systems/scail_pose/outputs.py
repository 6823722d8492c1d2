"""The files of a clip: pose video, masks, depth, ids, RGBA (docs/specs/scail_pose.md, sections 2 and 11)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from contrapposto.errors import InputError
from contrapposto.files import atomic_path
from contrapposto.render.video import VideoWriter, write_png
from contrapposto.systems.scail_pose import validate as check
from contrapposto.systems.scail_pose.interface import Person
from contrapposto.systems.scail_pose.jobs import FPS
from contrapposto.systems.scail_pose.palette import person_color
from contrapposto.systems.scail_pose.people import ClipPoses
from contrapposto.systems.scail_pose.pipeline import ClipDrawer, PoseFrame
from contrapposto.systems.scail_pose.render import Drawing

REFERENCE_MASK = "ref_mask.jpg"
VIDEOS = ("video", "mask", "id", "depth", "rgba", "scail2")
"""video: the pose video; mask: white where capsules are; id: a colour per person; depth: near is bright; rgba: a folder
of PNG files; scail2: the pose video and the colours of people under the names that SCAIL-2 reads, and where there is a
reference, the capsules of its people in the colours of those who drive them (`REFERENCE_MASK`)."""


def write_frames(
    folder: Path,
    frames: Iterable[PoseFrame],
    size: tuple[int, int],
    depths: tuple[float, float],
    *,
    outputs: Sequence[str] = ("video",),
    name: str = "rendered",
    fps: float = FPS,
    numbers: Sequence[int] = (),
    progress: Callable[[int], None] | None = None,
) -> list[Path]:
    """Write a clip in one pass.

    Args:
        folder: for all files.
        frames: of the clip.
        size: height and width in pixels.
        depths: what is white and what is nearly black in `depth`.
        outputs: of `VIDEOS`.
        name: of the pose video, `rendered` or `rendered_aligned`.
        fps: frames per second.
        numbers: of the people, in whose order they get their colours in `id`.
        progress: called with the number of frames written.
    """
    outputs = check.words("outputs", outputs, VIDEOS) if outputs else ()
    paths = [folder / file for kind, file in video_names(name) if kind in outputs]
    with ExitStack() as stack:
        writers = [
            (kind, stack.enter_context(VideoWriter(path, fps, size[::-1])))
            for kind, path in ((kind, folder / file) for kind, file in video_names(name) if kind in outputs)
            if path.suffix == ".mp4"
        ]
        image_folder = (
            stack.enter_context(atomic_path(folder / f"{name}_rgba", directory=True))
            if "rgba" in outputs
            else None
        )
        count = 0
        for frame in frames:
            for kind, writer in writers:
                writer.write(_image(kind, writer.path.name, frame, depths, numbers))
            if image_folder is not None:
                write_png(image_folder / f"{count:06d}.png", frame.rgba)
            count += 1
            if progress is not None:
                progress(count)
        if count == 0:
            raise InputError("A clip without frames was not written.")
    return paths


def write_reference_mask(
    path: Path, clip: ClipPoses, characters: Mapping[int, Person], device: str | None = None
) -> Path:
    """Write `reference_image` as a JPEG file."""
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(reference_image(clip, characters, device)).save(temporary, quality=95, subsampling=0)
    return path


def reference_image(
    clip: ClipPoses, characters: Mapping[int, Person], device: str | None = None
) -> np.ndarray:
    """(H, W, 3) uint8: people of the reference as capsules, in the colours that `id` has for those who drive them.

    Args:
        clip: the driving people.
        characters: people of the reference by the ids of those who drive them.
        device: see `CapsuleRenderer`.
    """
    people = [replace(person, id=number) for number, person in characters.items()]
    ids = clip.ids
    (frame,) = ClipDrawer(replace(clip, frames=[people]), device=device)
    places = np.array([ids.index(person.id) for person in people] + [-1])
    return id_image(replace(frame.capsules, ids=places[frame.capsules.ids]), len(ids))


def video_names(name: str) -> list[tuple[str, str]]:
    """Kind of `VIDEOS` and name of each file, or folder, of a clip called `name`."""
    return [
        ("video", f"{name}.mp4"),
        ("mask", f"{name}_mask.mp4"),
        ("id", f"{name}_id.mp4"),
        ("depth", f"{name}_depth.mp4"),
        ("rgba", f"{name}_rgba"),
        ("scail2", "rendered_v2.mp4"),
        ("scail2", "rendered_mask_v2.mp4"),
    ]


def _image(
    kind: str, file: str, frame: PoseFrame, depths: tuple[float, float], numbers: Sequence[int]
) -> np.ndarray:
    if kind == "mask":
        return np.repeat(frame.capsules.mask[..., None] * np.uint8(255), 3, axis=-1)
    if kind == "depth":
        return depth_image(frame.capsules, depths)
    if kind == "id" or file == "rendered_mask_v2.mp4":
        return id_image(frame.capsules, max(len(numbers), 1))
    return frame.rgb


def id_image(drawing: Drawing, count: int) -> np.ndarray:
    """(H, W, 3) uint8: each of `count` people in a colour of its own on black."""
    table = np.array([person_color(number) for number in range(count)] + [(0, 0, 0)], np.uint8)
    return table[np.where(drawing.ids < 0, count, np.minimum(drawing.ids, count - 1))]


def depth_image(drawing: Drawing, depths: tuple[float, float]) -> np.ndarray:
    """(H, W, 3) uint8: white at the nearer depth, dark grey at the farther one, black where nothing is."""
    near, far = depths
    share = np.clip((drawing.depth - near) / max(far - near, 1e-6), 0, 1)
    grey = np.where(drawing.mask, 255 - 215 * np.where(drawing.mask, share, 0), 0).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)
