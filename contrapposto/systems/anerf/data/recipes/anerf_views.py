"""Videos of one person from calibrated cameras at rest, and the poses in their world, as a scene."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from contrapposto.errors import ConfigError, MissingError, nearest
from contrapposto.files import sha256
from contrapposto.systems.anerf.data.foreground import (
    FlatFigure,
    StillCamera,
    background_of,
    some_of,
)
from contrapposto.systems.anerf.data.from_views import (
    CAMERAS,
    ViewCamera,
    WorldPerson,
    read_cameras,
    read_world_person,
    world_arrays,
)
from contrapposto.systems.anerf.data.masks import (
    MaskFolder,
    PersonSegmenter,
    fitting,
    longest_side,
    scaled,
)
from contrapposto.systems.anerf.data.poses import WORLD_AXES, pose_arrays, unit_scale
from contrapposto.systems.anerf.data.prepare import Plan, Progress
from contrapposto.systems.anerf.data.scene import AvatarScene
from contrapposto.systems.anerf.data.writing import (
    Frame,
    SceneMetadata,
    camera_splits,
    counted,
    temporal_validity,
    write_scene,
)


def plan(
    raw: Path | None,
    *,
    poses: str | None = None,
    masks: str | None = None,
    held_out_camera: str | None = None,
    every: int = 1,
    size: int | None = None,
    background: str = "median",
    licence: str = "unknown: the user's own",
) -> Plan:
    """See the module. Images stand camera by camera, each with all poses; splits: `train` and `novel_view`.

    Args:
        raw: folder with `cameras.json` and a video for each camera, all starting at the same time.
        poses: npz file, see `read_world_person`.
        masks: folder with a folder of masks for each camera; None: the shipped segmentation network.
        held_out_camera: name of a camera that is not learnt from.
        every: take every so many-th pose.
        size: longer side of the images in pixels, at most; None: as many as make the person about 350 pixels high, if the
            videos have them.
        background: `median` of what each camera sees beside the person, or `white`.
        licence: of the videos, for the manifest.
    """
    if raw is None or poses is None:
        raise MissingError(
            "Videos and poses are needed.",
            found=f"raw={raw} poses={poses}",
            fix="python prepare.py data=anerf_views raw=FOLDER poses=POSES.npz",
        )
    if background not in ("median", "white") or every < 1 or (size or 16) < 16:
        raise ConfigError(
            "A scene cannot be made with these options.",
            found=f"background {background}, every {every}, size {size}",
            expected="background median or white, every 1 or more, size 16 or more",
        )
    cameras, person = read_cameras(raw), read_world_person(poses)
    names = [camera.name for camera in cameras]
    if held_out_camera is not None and held_out_camera not in names:
        raise ConfigError(f"There is no camera {held_out_camera}.", expected=nearest(held_out_camera, names))
    order = np.argsort(person.frames)[::every]
    person = WorldPerson(person.rotations[order], person.root[order], person.rest, person.frames[order])
    held = [number for number, name in enumerate(names) if name == held_out_camera]
    learnt = [number for number in range(len(names)) if number not in held]
    scale = unit_scale(person.rest - person.rest[0])
    options = {"every": every, "size": size, "background": background, "held_out_camera": held_out_camera}
    origin = SceneMetadata(
        recipe="anerf_views",
        source=", ".join(camera.video.path.name for camera in cameras),
        licence=licence,
        options={**options, "masks": "network" if masks is None else "folder"},
        splits=camera_splits(learnt, held, len(person.frames), len(person.frames)),
        metres_per_unit=1 / scale,
        pose_scale=scale,
        input_hash=" ".join(
            [sha256(raw / CAMERAS), sha256(poses), *(sha256(camera.video.path) for camera in cameras)]
        ),
    )

    def make(output: Path, origin: SceneMetadata, progress: Progress | None) -> AvatarScene:
        folders = None if masks is None else [MaskFolder(Path(masks) / name) for name in names]
        views = _Views(cameras, person, folders, size, still=background == "median")
        arrays = views.arrays(scale)
        if background == "median":
            arrays["bkgds"] = np.stack([views.background(camera).reshape(-1, 3) for camera in cameras])
            arrays["bkgd_idxs"] = np.repeat(np.arange(len(cameras)), len(person.frames))
        frames = (
            Frame(np.where(frame.mask[..., None], frame.image, 255), frame.mask)
            if background == "white"
            else frame
            for camera in cameras
            for frame in views.frames(camera)
        )
        total = len(cameras) * len(person.frames)
        return write_scene(output, counted(frames, total, progress), arrays, views.size, origin)

    return Plan(origin, make)


class _Views:
    """The frames of several videos that have poses, scaled to the size of the first."""

    def __init__(
        self,
        cameras: list[ViewCamera],
        person: WorldPerson,
        folders: list[MaskFolder] | None,
        longest: int | None,
        *,
        still: bool,
    ) -> None:
        self.cameras, self.person, self.folders = cameras, person, folders
        self.still = still and folders is None
        self._backgrounds: dict[str, StillCamera] = {}
        self.bones, self.root = world_arrays(person)
        rest = person.rest - person.rest[0]
        self.joints = pose_arrays(self.bones, rest, self.root)["kp3d"] @ WORLD_AXES  # back to z up
        shape = cameras[0].video.height, cameras[0].video.width
        self.size = fitting(shape, longest_side(cameras[0].pixels(self.joints), shape, longest))

    def arrays(self, scale: float) -> dict[str, np.ndarray]:
        """All but images and backgrounds."""
        count, cameras = len(self.person.frames), self.cameras
        rest = (self.person.rest - self.person.rest[0]) * scale
        ratios = np.array(
            [(self.size[1] / camera.video.width, self.size[0] / camera.video.height) for camera in cameras]
        )
        centres = np.array([camera.matrix[:2, 2] for camera in cameras])
        return {
            **pose_arrays(self.bones, rest, self.root * scale),
            "rest_pose": rest,
            "kp_idxs": np.tile(np.arange(count), len(cameras)),
            "camera_idxs": np.repeat(np.arange(len(cameras)), count),
            "cam_idxs": np.repeat(np.arange(len(cameras)), count),
            "c2ws": np.stack([_to_world(camera, scale) for camera in cameras]),
            "focals": np.array([camera.matrix[[0, 1], [0, 1]] for camera in cameras]) * ratios,
            "centers": (centres + 0.5) * ratios - 0.5,
            "temp_val": temporal_validity(np.zeros(count, int)),
        }

    def background(self, camera: ViewCamera) -> np.ndarray:
        """(H, W, 3) uint8."""
        return background_of(self.frames(camera, self._some()))

    def frames(self, camera: ViewCamera, wanted: set[int] | None = None) -> Iterator[Frame]:
        """Images and masks of a camera in the order of the poses."""
        if not self.still:
            yield from (frame for _, frame in self._read(camera, wanted))
            return
        figure = self._figure(camera)
        if camera.name not in self._backgrounds:
            some = list(self._read(camera, self._some()))
            self._backgrounds[camera.name] = StillCamera.behind(some, figure)
        still = self._backgrounds[camera.name]
        for number, frame in self._read(camera, wanted):
            yield still.corrected(number, frame, figure)

    def _some(self) -> set[int]:
        return some_of(len(self.person.frames))

    def _figure(self, camera: ViewCamera) -> FlatFigure:
        """The person's bones in a camera's images."""
        ratio = np.array([self.size[1] / camera.video.width, self.size[0] / camera.video.height])
        depth = np.maximum((self.joints[:, 0] @ camera.rotation.T + camera.shift)[:, 2], 1e-3)
        return FlatFigure(camera.pixels(self.joints) * ratio, camera.matrix[1, 1] * ratio[1] / depth)

    def _read(self, camera: ViewCamera, wanted: set[int] | None) -> Iterator[tuple[int, Frame]]:
        """Numbers of poses; images with masks of a folder or of the network."""
        place = {int(frame): number for number, frame in enumerate(self.person.frames)}
        segmenter = None if self.folders else PersonSegmenter()
        pixels = camera.pixels(self.joints)
        for frame, (_, image) in enumerate(camera.video.frames()):
            number = place.get(frame)
            if number is None or (wanted is not None and number not in wanted):
                continue
            if segmenter is None:
                assert self.folders is not None
                mask = self.folders[self.cameras.index(camera)](frame, image.shape[:2])
            else:
                mask = segmenter(image, pixels[number])
            yield (
                number,
                Frame(scaled(image, self.size), scaled(mask.astype(np.uint8) * 255, self.size) > 127),
            )


def _to_world(camera: ViewCamera, scale: float) -> np.ndarray:
    """(4, 4) NeRF camera to A-NeRF's world."""
    matrix = np.eye(4)
    matrix[:3, :3] = WORLD_AXES @ camera.rotation.T * [1, -1, -1]
    matrix[:3, 3] = scale * WORLD_AXES @ (-camera.rotation.T @ camera.shift)
    return matrix
