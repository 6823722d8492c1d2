"""A video of one person and its poses as a scene: frames, masks, a background, one camera at rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from contrapposto.errors import ConfigError, InputError, MissingError
from contrapposto.files import sha256
from contrapposto.systems.anerf.data.foreground import (
    FlatFigure,
    StillCamera,
    background_of,
    some_of,
)
from contrapposto.systems.anerf.data.frame_folder import files_of, open_frames
from contrapposto.systems.anerf.data.masks import (
    MaskFolder,
    PersonSegmenter,
    fitting,
    longest_side,
    scaled,
)
from contrapposto.systems.anerf.data.people import Person, read_person
from contrapposto.systems.anerf.data.poses import pose_arrays, unit_scale
from contrapposto.systems.anerf.data.prepare import Plan, Progress
from contrapposto.systems.anerf.data.scene import AvatarScene
from contrapposto.systems.anerf.data.writing import (
    Frame,
    SceneMetadata,
    counted,
    temporal_validity,
    write_scene,
)
from contrapposto.video_file import VideoFile

_ROOM = 0.25  # of the person's size around the joints
_MOVING = 8.0  # usual difference from the background, of 255, before a camera that is not at rest
_CHECKED = 8  # frames whose masks are compared with the joints
_FACTORS = (0.001, 0.01, 0.0254, 0.1, 10.0, 100.0, 1000.0)  # of positions in other units than metres


def plan(
    raw: Path | None,
    *,
    poses: str | None = None,
    masks: str | None = None,
    focal: float | None = None,
    every: int = 1,
    size: int | None = None,
    background: str = "median",
    held_out: float = 0.1,
    licence: str = "unknown: the user's own",
) -> Plan:
    """See the module. The splits: `train`, and `novel_pose`, the end of the video.

    Args:
        raw: the video, or a folder of its frames.
        poses: npz file with the poses before the camera, see `read_person`.
        masks: folder with a mask for every frame; None: the shipped segmentation network.
        focal: pixels of the video as it is; None: what the poses say.
        every: take every so many-th pose.
        size: longer side of the images in pixels, at most. None: images are cut to where the person is in any frame, and
            the person is about 350 pixels high, if the video has so many.
        background: `median` of what is seen beside the person, for a camera at rest, which also corrects the network's
            masks; or `white`: everything but the person is painted white, for any camera.
        held_out: share of the images, at the end, that is not learnt from.
        licence: of the video, for the manifest.
    """
    source = _check(raw, poses, every, size, background, held_out)
    video = open_frames(source)
    count = sum(1 for _ in video.frames())
    if count < 2:
        raise InputError(f"{source.name} has one frame.", expected="a video of a person that moves or turns")
    person = read_person(str(poses), (video.height, video.width), focal)
    person = _selected(person, every, count, Path(str(poses)).name)
    folder = None if masks is None else MaskFolder(Path(masks))
    person, notes = _in_image(person, video, source)
    _check_scale(person, video, folder)
    splits = _splits(len(person.frames), held_out)
    options = {"focal": focal, "every": every, "size": size, "background": background, "held_out": held_out}
    origin = SceneMetadata(
        recipe="anerf_video",
        source=source.name,
        licence=licence,
        options={**options, "masks": "network" if folder is None else "folder"},
        splits=splits,
        metres_per_unit=1 / unit_scale(person.rest - person.rest[0]),
        pose_scale=unit_scale(person.rest - person.rest[0]),
        notes=notes,
        input_hash=" ".join([*map(sha256, files_of(video)), sha256(str(poses)), *_hashes(folder)]),
    )

    def make(output: Path, origin: SceneMetadata, progress: Progress | None) -> AvatarScene:
        take = _Take(video, person, folder, size, still=background == "median")
        arrays = take.arrays(origin.pose_scale)
        if background == "median":
            arrays["bkgds"] = take.background().reshape(1, -1, 3)
        frames = counted(take.frames(white=background == "white"), len(person.frames), progress)
        return write_scene(output, frames, arrays, take.size, origin)

    return Plan(origin, make)


class _Take:
    """The frames of a video that have poses, in the order of time, scaled.

    Args:
        video: the frames.
        person: poses before the camera.
        folder: masks; None: by the segmentation network.
        longest: longer side of the images in pixels, at most; None: cut to the person's way, see `plan`.
        still: whether the camera is at rest, so that masks may follow from what differs from the background.
    """

    def __init__(
        self, video: VideoFile, person: Person, folder: MaskFolder | None, longest: int | None, *, still: bool
    ) -> None:
        self.video, self.person, self.folder = video, person, folder
        self.joints = _projected(person, video)
        whole = 0, 0, video.width, video.height
        self.box = whole if longest else _rectangle(self.joints, (video.height, video.width))
        left, top, right, bottom = self.box
        shape = bottom - top, right - left
        self.size = fitting(shape, longest_side(self.joints - self.box[:2], shape, longest))
        self.ratio = np.array([self.size[1] / shape[1], self.size[0] / shape[0]])
        self._segment = PersonSegmenter() if folder is None else None
        self._camera = self._at_rest() if still and folder is None else None

    def arrays(self, scale: float) -> dict[str, np.ndarray]:
        """All but images and background; images with equal focal lengths share a camera."""
        person = self.person
        assert person.focals is not None
        focals, camera = np.unique(person.focals, return_inverse=True)
        poses = pose_arrays(person.rotations, (person.rest - person.rest[0]) * scale, person.root * scale)
        centre = (_middle(person, self.video) - self.box[:2]) * self.ratio
        return {
            **poses,
            "rest_pose": (person.rest - person.rest[0]) * scale,
            "camera_idxs": camera.reshape(-1),
            "c2ws": np.tile(np.diag([1.0, -1.0, -1.0, 1.0]), (len(focals), 1, 1)),
            "focals": focals[:, None] * self.ratio,
            "centers": np.tile(centre, (len(focals), 1)),
            "temp_val": temporal_validity(np.cumsum(np.diff(person.frames, prepend=0) > _gap(person.frames))),
        }

    def background(self) -> np.ndarray:
        """(H, W, 3) uint8."""
        return background_of(frame for _, frame in self._masked(self._some()))

    def frames(self, *, white: bool) -> Iterator[Frame]:
        """All of them; with `white`, everything but the person is painted over."""
        for _, frame in self._masked(set(range(len(self.person.frames)))):
            yield Frame(np.where(frame.mask[..., None], frame.image, 255), frame.mask) if white else frame

    def _at_rest(self) -> StillCamera | None:
        """The background; None where the camera moves after all."""
        camera = StillCamera.behind(list(self._read(self._some())), self._figure)
        return camera if camera.noise < _MOVING else None

    def _masked(self, wanted: set[int]) -> Iterator[tuple[int, Frame]]:
        """Numbers of poses; images and masks, which the background corrects where the camera is at rest."""
        for number, frame in self._read(wanted):
            camera = self._camera
            yield number, frame if camera is None else camera.corrected(number, frame, self._figure)

    @cached_property
    def _figure(self) -> FlatFigure:
        """The person's bones in the scaled images."""
        assert self.person.focals is not None
        depth = np.maximum(self.person.root[:, 2], 1e-3)
        pixels = (self.joints - self.box[:2]) * self.ratio
        return FlatFigure(pixels, self.person.focals * self.ratio[1] / depth)

    def _some(self) -> set[int]:
        return some_of(len(self.person.frames))

    def _read(self, wanted: set[int]) -> Iterator[tuple[int, Frame]]:
        """Numbers of poses; images with masks of the folder or of the network."""
        left, top, right, bottom = self.box
        place = {int(frame): number for number, frame in enumerate(self.person.frames)}
        for frame, (_, image) in enumerate(self.video.frames()):
            number = place.get(frame)
            if number is not None and number in wanted:
                mask = self._mask_of(image, frame, number)[top:bottom, left:right].astype(np.uint8) * 255
                cut = image[top:bottom, left:right]
                yield number, Frame(scaled(cut, self.size), scaled(mask, self.size) > 127)

    def _mask_of(self, image: np.ndarray, frame: int, number: int) -> np.ndarray:
        if self.folder is not None:
            return self.folder(frame, image.shape[:2])
        assert self._segment is not None
        return self._segment(image, self.joints[number])


def _rectangle(joints: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom about all joints (F, 24, 2) with room for hair, hands, clothes and wrong poses."""
    height, width = size
    shown = np.clip(joints, 0, [width - 1, height - 1])
    room = _ROOM * float(np.median((joints.max(1) - joints.min(1)).max(-1)))
    low = np.floor(shown.min((0, 1)) - room).astype(int).clip(0)
    high = np.minimum(np.ceil(shown.max((0, 1)) + room).astype(int) + 1, [width, height])
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _check(
    raw: Path | None, poses: str | None, every: int, size: int | None, background: str, held_out: float
) -> Path:
    if raw is None or poses is None:
        raise MissingError(
            "A video and its poses are needed.",
            found=f"raw={raw} poses={poses}",
            fix="python prepare.py data=anerf_video raw=VIDEO.mp4 poses=POSES.npz [masks=FOLDER]",
        )
    if background not in ("median", "white") or every < 1 or (size or 16) < 16 or not 0 <= held_out < 1:
        raise ConfigError(
            "A scene cannot be made with these options.",
            found=f"background {background}, every {every}, size {size}, held_out {held_out}",
            expected="background median or white, every 1 or more, size 16 or more, held_out from 0 to 1",
        )
    return raw


def _selected(person: Person, every: int, count: int, name: str) -> Person:
    """Every so many-th pose in the order of time."""
    if person.frames.max(initial=0) >= count or (person.counted and len(person.frames) != count):
        raise InputError(
            f"The poses of {name} do not fit the video.",
            found=f"{len(person.frames)} poses, {count} frames",
            expected="a pose for every frame, or frame_ids (F,) that say which frames the poses are of",
        )
    if person.focals is None:
        raise InputError(
            f"{name} does not say the focal length.",
            expected="an entry focal or K",
            fix="data.options.focal=PIXELS",
        )
    return _taken(person, np.argsort(person.frames)[::every])


def _taken(person: Person, index: np.ndarray) -> Person:
    assert person.focals is not None
    parts = {name: getattr(person, name)[index] for name in ("rotations", "root", "focals", "frames")}
    return replace(person, **parts)


def _in_image(person: Person, video: VideoFile, source: Path) -> tuple[Person, list[str]]:
    """Without the poses of which no joint is in the image, and a note of how many they are."""
    joints = _projected(person, video)
    inside = ((joints >= 0) & (joints < [video.width, video.height])).all(-1).any(-1)
    if not inside.any():
        raise InputError(
            "The poses lie outside of the image in every frame.",
            found=f"the first root is at pixel {joints[0, 0].round().astype(int).tolist()}",
            expected=f"within {video.width} x {video.height}",
            fix="the focal length may be of another image size: data.options.focal=PIXELS",
        )
    if inside.sum() < 2:
        raise InputError(f"The person is in the image of {source.name} in one frame only.")
    lost = int((~inside).sum())
    notes = [f"{lost} frames are left out: the person is outside of the image."] if lost else []
    return _taken(person, np.flatnonzero(inside)), notes


def _check_scale(person: Person, video: VideoFile, folder: MaskFolder | None) -> None:
    """Refuse poses that make the person much smaller or larger than the masks, or than any person in an image.

    Raises:
        InputError: names the factor of the positions that would fit.
    """
    joints = _projected(person, video)
    low, high = joints.min(1), joints.max(1)
    tall = np.linalg.norm(high - low, axis=1)
    if folder is None:
        wanted = np.full(len(tall), 0.6 * np.hypot(video.height, video.width))
        bounds = 0.04, 4.0
    else:
        chosen = np.linspace(0, len(tall) - 1, min(len(tall), _CHECKED)).astype(int)
        sizes = [
            _extent(folder(int(person.frames[number]), (video.height, video.width))) for number in chosen
        ]
        wanted, tall, bounds = np.array(sizes), tall[chosen], (0.4, 2.0)
    seen = wanted > 0
    if not seen.any():
        return
    ratio = float(np.median(tall[seen] / wanted[seen]))
    if bounds[0] <= ratio <= bounds[1]:
        return
    distance = float(np.median(np.linalg.norm(person.root, axis=1)))
    factor = ratio if folder is not None else min(_FACTORS, key=lambda f: abs(np.log(ratio / f)))
    raise InputError(
        "The size of the person in the images does not fit the poses.",
        found=f"{np.median(tall):.0f} pixels from joint to joint, {distance:.3g} m from the camera",
        expected=f"about {np.median(wanted[seen]):.0f} pixels"
        + (" as in the masks" if folder is not None else ""),
        fix=f"positions times {factor:.3g} would fit (are they in metres?), or another focal length",
    )


def _extent(mask: np.ndarray) -> float:
    """Diagonal of the rectangle about a mask, pixels."""
    rows, columns = np.nonzero(mask)
    return float(np.hypot(np.ptp(rows), np.ptp(columns))) if len(rows) else 0.0


def _projected(person: Person, video: VideoFile) -> np.ndarray:
    """(F, 24, 2) joints in pixels."""
    assert person.focals is not None
    joints = pose_arrays(person.rotations, person.rest - person.rest[0], person.root)["kp3d"]
    depth = np.maximum(joints[..., 2:], 1e-3)
    return person.focals[:, None, None] * joints[..., :2] / depth + _middle(person, video)


def _middle(person: Person, video: VideoFile) -> np.ndarray:
    return np.array([video.width / 2, video.height / 2]) if person.centre is None else person.centre


def _gap(frames: np.ndarray) -> float:
    """Frames that lie further apart than this are of different takes."""
    return float(np.median(np.diff(frames))) if len(frames) > 1 else 1.0


def _splits(count: int, held_out: float) -> dict[str, list[int]]:
    learnt = max(count - int(count * held_out), 1)
    splits = {"train": list(range(learnt)), "novel_pose": list(range(learnt, count))}
    return {name: images for name, images in splits.items() if images}


def _hashes(folder: MaskFolder | None) -> list[str]:
    return [] if folder is None else [sha256(file) for _, file in sorted(folder.files.items())]
