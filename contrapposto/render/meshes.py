"""Images of meshes as people have them: painted, in their own units, y up; moving side by side, or in sheets."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.errors import InputError
from contrapposto.mesh.asset import MeshAsset
from contrapposto.mesh.colors import srgb_of_linear
from contrapposto.progress import bar
from contrapposto.render.backends import make_renderer
from contrapposto.render.camera import Camera, enclose, follow
from contrapposto.render.scene import COOL, Ground, Mesh, Scene
from contrapposto.render.text import draw_text
from contrapposto.render.video import VideoWriter, write_png

_SIZE = 1.8  # metres: every template is drawn as large as a person, so that light and ground suit it
_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # rows: y up to z up, front towards -y
_AZIMUTH, _ELEVATION = np.radians(28), np.radians(12)
VIEWS = {"front": 0.0, "right": 90.0, "back": 180.0, "left": 270.0}


class PaintedMesh:
    """A mesh ready to be drawn in any pose.

    Args:
        mesh: the template; y is up and z to the front.
        color: of the whole mesh; None: what is painted on it, or the default colour.
    """

    def __init__(self, mesh: MeshAsset, color: Sequence[float] | None = None) -> None:
        low, high = mesh.vertices[mesh.faces].min((0, 1)), mesh.vertices[mesh.faces].max((0, 1))
        self.scale = _SIZE / max(float((high - low).max()), 1e-12)
        self.centre = np.array([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2])
        if color is None:
            self.source, faces, colors = _painted(mesh)
        else:
            used, faces = np.unique(mesh.faces, return_inverse=True)
            self.source, faces, colors = used, faces.reshape(-1, 3), np.asarray(color, np.float64)
        self._base = Mesh(self._placed(mesh.vertices), faces, colors)

    def _placed(self, vertices: np.ndarray) -> np.ndarray:
        return self.place(np.asarray(vertices, np.float64)[self.source])

    def place(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) in the template's axes and units, such as joints, where `posed` has them."""
        return np.asarray((points - self.centre) * self.scale @ _UP)

    def posed(self, vertices: np.ndarray) -> Mesh:
        """Vertices (V, 3) in the template's order and units as something to draw: metres, z up, feet at 0."""
        return self._base.moved(self._placed(vertices))


def _painted(mesh: MeshAsset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The vertex that each drawn one is (split where two colours meet), faces, and colours (N, 3) of drawn vertices."""
    corners = np.tile(COOL, (len(mesh.faces), 3, 1)).astype(np.float64)
    if mesh.vertex_colors is not None:
        corners = mesh.vertex_colors[mesh.faces][..., :3] / 255.0
    materials = mesh.face_materials
    for number, material in enumerate(mesh.materials):
        chosen = np.flatnonzero(materials == number) if materials is not None else np.arange(0)
        tint = srgb_of_linear(np.clip(np.asarray(material.color[:3], np.float64), 0, 1))
        corners[chosen] = tint if mesh.vertex_colors is None else corners[chosen] * tint
        texture = None if material.texture is None else _image(material.texture)
        if texture is None or mesh.texture_faces is None or mesh.texture_coordinates is None:
            continue
        index = mesh.texture_faces[chosen]
        drawn = index.min(axis=1) >= 0
        corners[chosen[drawn]] = _sampled(texture, mesh.texture_coordinates[index[drawn]]) * tint
    levels = np.round(np.clip(corners, 0, 1) * 255).astype(np.int64)
    rows = np.concatenate([mesh.faces.reshape(-1, 1), levels.reshape(-1, 3)], axis=1)
    unique, inverse = np.unique(rows, axis=0, return_inverse=True)
    return unique[:, 0], inverse.reshape(-1, 3), unique[:, 1:] / 255.0


def _image(data: bytes) -> np.ndarray | None:
    """(H, W, 3) in [0, 1]; None for what cannot be decoded."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            image.thumbnail((1024, 1024))
            return np.asarray(image.convert("RGB"), np.float64) / 255
    except Exception:  # PIL meets damage with SyntaxError, struct.error and others
        return None


def _sampled(texture: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
    """Colours (F, 3, 3) at the corners (F, 3, 2), taken a little inside the face: palettes have hard borders."""
    inside = 0.9 * coordinates + 0.1 * coordinates.mean(axis=1, keepdims=True)
    height, width = texture.shape[:2]
    column = np.clip((inside[..., 0] % 1.0) * width, 0, width - 1).astype(int)
    row = np.clip((1 - inside[..., 1] % 1.0) * height, 0, height - 1).astype(int)
    return texture[row, column]


@dataclass(frozen=True, eq=False)
class Panel:
    """One panel of a video: a mesh, its frames (T, V, 3), and a colour where it shall not be drawn as it is painted."""

    mesh: MeshAsset
    frames: np.ndarray
    color: Sequence[float] | None = None


def render_mesh_video(
    path: str | Path,
    panels: Mapping[str, Panel],
    *,
    size: tuple[int, int] = (512, 512),
    fps: float = 30.0,
    turn: float = 0.0,
    captions: Sequence[str] = (),
    progress: bool = False,
) -> Path:
    """Write meshes side by side as an mp4, each with a camera that follows it.

    Args:
        path: ends in .mp4.
        panels: title to panel; the shorter ones hold their last frame.
        size: of a panel in pixels.
        fps: of the frames.
        turn: degrees that the camera goes round during the video.
        captions: one for each frame.
        progress: show a bar on the console.

    Raises:
        InputError: no panels, frames that do not fit their mesh, or a path or rate that cannot be used.
    """
    if not panels or any(len(panel.frames) == 0 for panel in panels.values()):
        raise InputError("There are no meshes to draw.")
    count = max(len(panel.frames) for panel in panels.values())
    drawn = [_Drawn(panel, count, size, fps, turn) for panel in panels.values()]
    context: Any = bar(count, Path(path).name) if progress else nullcontext()
    letters = max(11, round(min(size) * 0.04))
    with context as shown, VideoWriter(path, fps, (size[0] * len(drawn), size[1]), progress=shown) as writer:
        for frame in range(count):
            images = [panel.image(frame) for panel in drawn]
            for image, title in zip(images, panels):
                draw_text(image, title, (letters // 2, letters // 2), size=letters)
            if frame < len(captions):
                place = (letters // 2, size[1] - letters // 2)
                draw_text(images[0], captions[frame], place, size=letters, anchor="left bottom")
            writer.write(np.concatenate(images, axis=1))
    return Path(path)


class _Drawn:
    """A panel with its renderer, cameras and ground."""

    def __init__(self, panel: Panel, count: int, size: tuple[int, int], fps: float, turn: float) -> None:
        self.painted, self.frames = PaintedMesh(panel.mesh, panel.color), panel.frames
        few = np.linspace(0, len(self.painted.source) - 1, min(400, len(self.painted.source))).astype(int)
        placed = np.stack([self.painted._placed(frame)[few] for frame in self.frames])
        held = placed[np.minimum(np.arange(count), len(placed) - 1)]
        self.cameras = _cameras(held, size, fps, turn)
        self.ground = Ground(height=min(float(np.percentile(placed[..., 2].min(axis=1), 10)), 0.0) - 0.002)
        self.renderer: Any = make_renderer("warp", None)

    def image(self, frame: int) -> np.ndarray:
        mesh = self.painted.posed(self.frames[min(frame, len(self.frames) - 1)])
        scene = Scene([mesh], ground=self.ground)
        image: np.ndarray = self.renderer.render(
            scene, self.cameras[frame], keep_light=frame > 0
        ).color.copy()
        return image


def _cameras(points: np.ndarray, size: tuple[int, int], fps: float, turn: float) -> list[Camera]:
    """For points (T, N, 3): one view that holds everything where the mesh stays in place, else one that follows."""
    centres = points.mean(axis=1)
    if np.ptp(centres[:, :2], axis=0).max() > 0.6 * _SIZE and not turn:
        return follow(points, fps, facing=0.0, size=size, margin=0.06)
    angles = _AZIMUTH + np.radians(turn) * np.arange(len(points)) / max(len(points) - 1, 1)
    cloud = points.reshape(-1, 3)
    if not turn:
        return [enclose(cloud, _direction(angles[0]), size=size, margin=0.06)] * len(points)
    return [enclose(cloud, _direction(angle), size=size, margin=0.06) for angle in angles]


def _direction(azimuth: float, elevation: float = float(_ELEVATION)) -> tuple[float, float, float]:
    return -float(np.sin(azimuth)), float(np.cos(azimuth)), -float(np.tan(elevation))


@dataclass(frozen=True, eq=False)
class Cell:
    """One image of a sheet: vertices (V, 3) of a mesh under a title."""

    mesh: PaintedMesh
    vertices: np.ndarray
    title: str = ""


def render_pose_sheet(
    path: str | Path, cells: Sequence[Sequence[Cell]], *, columns: int = 5, size: tuple[int, int] = (200, 240)
) -> Path:
    """Write groups of images (a group's stand close together) as one PNG.

    Args:
        path: ends in .png.
        cells: groups in the order of reading, all of one length.
        columns: groups in a row.
        size: of one image.

    Raises:
        InputError: nothing to draw.
    """
    if not cells:
        raise InputError("There is nothing to draw.")
    renderer = make_renderer("warp", None)
    letters = max(10, round(min(size) * 0.06))
    gap = 6
    blocks = []
    for group in cells:
        images = []
        for cell in group:
            mesh = cell.mesh.posed(cell.vertices)
            low = float(mesh.vertices[:, 2].min())
            camera = enclose(mesh.vertices, _direction(float(_AZIMUTH)), size=size, margin=0.07)
            scene = Scene([mesh], ground=Ground(height=low - 0.002))
            image = renderer.render(scene, camera).color.copy()
            draw_text(image, cell.title, (letters // 2, letters // 2), size=letters)
            images.append(image)
        block = np.concatenate(images, axis=1)
        blocks.append(np.pad(block, ((0, gap), (0, gap), (0, 0)), constant_values=255))
    blank = np.full_like(blocks[0], 255)
    blocks += [blank] * (-len(blocks) % columns)
    rows = [np.concatenate(blocks[i : i + columns], axis=1) for i in range(0, len(blocks), columns)]
    return write_png(path, np.concatenate(rows))


def four_views(
    mesh: PaintedMesh, poses: np.ndarray, *, size: int = 64, renderer: Any | None = None
) -> np.ndarray:
    """Front, right, back and left of poses (T, V, 3): (T, 4, size, size) uint8 grey, on black.

    The camera of a view is the same for all poses of a mesh: it sees a cube 1.2 times the largest side of the template.
    """
    renderer = renderer or make_renderer("warp", None)
    reach = 0.6 * _SIZE
    corners = reach * np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), axis=-1).reshape(8, 3)
    cameras = [
        enclose(corners, _direction(np.radians(angle), 0.0), size=(size, size), margin=0.0)
        for angle in VIEWS.values()
    ]
    result = np.zeros((len(poses), len(cameras), size, size), np.uint8)
    for number, pose in enumerate(poses):
        figure = mesh.posed(pose)
        low, high = figure.vertices.min(axis=0), figure.vertices.max(axis=0)
        figure = figure.moved(figure.vertices - (low + high) / 2)
        scene = Scene([figure], ground=None, background=(0.0, 0.0, 0.0))
        for view, camera in enumerate(cameras):
            image = renderer.render(scene, camera)
            result[number, view] = np.round(image.color @ [0.299, 0.587, 0.114]).astype(np.uint8)
    return result
