"""Stores of stylised figures, clutter and backgrounds, drawn at random (`figure_characters`), to learn from.

A store is a folder with `manifest.json`, `figures.npy` (N, S, S, 4) uint8 colours and cover, `points.npy` (N, 15, 3)
pixels and depth in pixels from the hips, `objects.npy` (M, S, S, 4) and `backgrounds.npy` (B, S, S, 3).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from contrapposto.data.plans import digest, holds_store
from contrapposto.files import atomic_path, write_json
from contrapposto.render import Camera, Lights, Mesh, Scene, make_renderer
from contrapposto.render.backends import Renderer
from contrapposto.systems.scail_pose.figure_characters import CharacterMaker
from contrapposto.systems.scail_pose.figure_clutter import clutter

SCHEMA, VERSION = "contrapposto-figures", 1
_HIPS = [8, 11]


def prepare_figures(
    output: str | Path,
    *,
    figures: int = 12000,
    objects: int = 3000,
    backgrounds: int = 3000,
    size: int = 160,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> bool:
    """Draw a store; False where it is there already.

    Args:
        output: folder, replaced where it holds others.
        figures, objects, backgrounds: how many.
        size: height and width of an image in pixels.
        seed: of everything random.
        progress: called with (stage, done, total).

    Raises:
        ConfigError: the folder holds something else.
    """
    output = Path(output)
    metadata = {
        "figures": figures,
        "objects": objects,
        "backgrounds": backgrounds,
        "size": size,
        "seed": seed,
    }
    key = digest(VERSION, metadata)
    if holds_store(output, SCHEMA) and f'"{key}"' in (output / "manifest.json").read_text(encoding="utf-8"):
        return False
    renderer, maker = make_renderer("warp", "cpu", 1), CharacterMaker()
    with atomic_path(output, directory=True) as folder:

        def fill(name: str, count: int, channels: int, draw: Callable[[int], np.ndarray]) -> None:
            shape = (count, size, size, channels)
            images = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.uint8, shape)
            for index in range(count):
                images[index] = draw(index)
                if progress is not None and (index + 1) % 50 == 0:
                    progress(name, index + 1, count)

        points = np.zeros((figures, 15, 3), np.float32)

        def figure(index: int) -> np.ndarray:
            image, points[index] = figure_image(
                renderer, maker, np.random.default_rng([seed, 0, index]), size
            )
            return image

        fill(
            "objects", objects, 4, lambda i: object_image(renderer, np.random.default_rng([seed, 1, i]), size)
        )
        fill("backgrounds", backgrounds, 3, lambda i: background(np.random.default_rng([seed, 2, i]), size))
        fill("figures", figures, 4, figure)
        np.save(folder / "points.npy", points)
        write_json(folder / "manifest.json", {"schema": SCHEMA, "key": key, **metadata})
    return True


def figure_image(
    renderer: Renderer, maker: CharacterMaker, rng: np.random.Generator, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """A figure (S, S, 4) uint8 and its points (15, 3)."""
    character = maker.draw(rng)
    turn = 60.0 if rng.random() < 0.4 else 20.0
    camera = _camera(character.vertices, rng, size, rng.uniform(-turn, turn))
    image = _drawn(renderer, Mesh(character.vertices, character.faces, character.colors), camera, rng)
    seen = camera.to_camera(character.points)
    pixels = seen[:, :2] / seen[:, 2:] * [camera.fx, camera.fy] + [camera.cx, camera.cy]
    hips = seen[_HIPS, 2].mean()
    depth = (seen[:, 2] - hips) * camera.fx / hips
    return image, np.concatenate([pixels, depth[:, None]], axis=1).astype(np.float32)


def object_image(renderer: Renderer, rng: np.random.Generator, size: int) -> np.ndarray:
    """Clutter (S, S, 4) uint8."""
    vertices, faces, colors = clutter(rng)
    camera = _camera(vertices, rng, size, rng.uniform(-180, 180))
    return _drawn(renderer, Mesh(vertices, faces, colors), camera, rng)


def _camera(vertices: np.ndarray, rng: np.random.Generator, size: int, degrees: float) -> Camera:
    """A camera that has everything in its image."""
    fov = rng.uniform(12, 50)
    rise, way = np.radians(rng.normal(5, 9)), np.radians(degrees)
    low, high = vertices.min(0), vertices.max(0)
    middle = (low + high) / 2
    toward = np.array([np.sin(way) * np.cos(rise), -np.cos(way) * np.cos(rise), np.sin(rise)])
    roll = np.radians(rng.normal(0, 4))
    up = np.array([np.sin(roll) * np.cos(way), np.sin(roll) * np.sin(way), np.cos(roll)])
    away = float(np.linalg.norm(high - low)) / 2 / np.tan(np.radians(fov / 2)) * 1.05
    camera = Camera.look_at(middle + away * toward, middle, up.tolist(), fov_degrees=fov, size=(size, size))
    seen = camera.to_camera(vertices)
    spread = seen[:, :2] / seen[:, 2:]
    low2, high2 = spread.min(0), spread.max(0)
    focal = 0.94 * size / float((high2 - low2).max())
    shift = size / 2 - focal * (low2 + high2) / 2
    return Camera(focal, focal, float(shift[0]), float(shift[1]), camera.world_to_camera, size, size)


def _drawn(renderer: Renderer, mesh: Mesh, camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """(S, S, 4): shaded softly, flatly or like a cartoon, perhaps with outlines."""
    import cv2

    direction = rng.normal(0, 1, 3) + np.array([0, -0.8, 1.0])
    flat = rng.random() < 0.2
    lights = Lights(
        direction=direction / np.linalg.norm(direction),
        key=0.15 if flat else rng.uniform(0.4, 1.1),
        sky=0.9 if flat else rng.uniform(0.15, 0.6),
        bounce=rng.uniform(0.05, 0.3),
        shadows=bool(rng.random() < 0.4),
    )
    shown = renderer.render(Scene([mesh], ground=None, lights=lights, background=(0.5, 0.5, 0.5)), camera)
    color = shown.color.copy()
    if rng.random() < 0.2:
        levels = rng.integers(3, 7)
        color = (np.round(color / 255 * levels) / levels * 255).astype(np.uint8)
    cover = shown.mask.astype(np.uint8) * 255
    if rng.random() < 0.3:
        near = np.where(
            shown.mask, shown.depth, shown.depth[shown.mask].max() * 1.2 if shown.mask.any() else 1
        )
        edges = np.abs(cv2.Laplacian(near.astype(np.float32), cv2.CV_32F)) > rng.uniform(0.02, 0.06) * float(
            near.min()
        )
        wide = int(rng.integers(1, 3))
        lines = cv2.dilate(edges.astype(np.uint8), np.ones((wide, wide), np.uint8)) > 0
        color[lines] = rng.integers(0, 60, 3)
        cover = np.where(lines, 255, cover)
    return np.dstack([color, cover]).astype(np.uint8)


def background(rng: np.random.Generator, size: int) -> np.ndarray:
    """(S, S, 3) uint8: one colour, a gradient, noise of all scales, shapes, or several of these."""
    import cv2

    first, last = rng.integers(0, 256, 3).astype(float), rng.integers(0, 256, 3).astype(float)
    if rng.random() < 0.35:
        last = first
    ramp = np.linspace(0, 1, size)
    share = ramp[:, None] * np.ones(size) if rng.random() < 0.7 else np.ones(size)[:, None] * ramp
    image = first + (last - first) * share[..., None]
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 4)):
            cells = int(2 ** rng.integers(1, 7))
            noise = rng.normal(0, rng.uniform(5, 60), (cells, cells, rng.choice([1, 3])))
            grown = cv2.resize(
                noise.astype(np.float32),
                (size, size),
                interpolation=int(rng.choice([cv2.INTER_CUBIC, cv2.INTER_NEAREST])),
            )
            image = image + grown.reshape(size, size, -1)
    image = np.ascontiguousarray(image.clip(0, 255).astype(np.uint8))
    for _ in range(int(rng.choice([0, 0, 3, 10, 40, 100]))):
        color = rng.integers(0, 256, 3).tolist()
        x, y = (int(v) for v in rng.integers(0, size, 2))
        w, h = (int(v) for v in np.exp(rng.uniform(1, np.log(size / 2), 2)))
        kind = rng.integers(4)
        if kind == 0:
            cv2.rectangle(image, (x, y), (x + w, y + h), color, -1)
        elif kind == 1:
            cv2.ellipse(image, (x, y), (w // 2, h // 2), int(rng.integers(180)), 0, 360, color, -1)
        elif kind == 2:
            cv2.line(image, (x, y), (x + w - size // 4, y + h - size // 4), color, int(rng.integers(1, 8)))
        else:
            cv2.fillPoly(
                image,
                [
                    rng.integers(-10, 10 + 2 * max(w, 8), (rng.integers(3, 6), 2)).astype(np.int32)
                    + np.array([[x, y]], np.int32)
                ],
                color,
            )
    if rng.random() < 0.4:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 5))
    return np.asarray(image)
