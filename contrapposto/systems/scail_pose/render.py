"""Capsules to images, closed form in place of the original's sphere tracing (docs/specs/scail_pose.md, section 7.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from contrapposto.devices import drawing_device
from contrapposto.errors import ConfigError, InputError
from contrapposto.systems.scail_pose.cylinders import Cylinders

MAX_PIXELS = 64_000_000
_HIT = 1e-3  # the original's rays stop this far from a surface: capsules look that much thicker


@dataclass(frozen=True)
class Drawing:
    """One frame.

    Attributes:
        rgba: (H, W, 4) uint8, zero where nothing is.
        depth: (H, W) float32, z in the unit of the capsules, infinity where nothing is.
        ids: (H, W) int32, the person of the capsule, -1 where nothing is.
    """

    rgba: np.ndarray
    depth: np.ndarray
    ids: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool, where something is."""
        return self.ids >= 0


def depth_range(frames: Iterable[Cylinders], percentile: float = 0.0) -> tuple[float, float]:
    """Smallest and largest z over the capsules' ends of a whole clip; (0, 0) of a clip without capsules.

    Args:
        frames: of the clip.
        percentile: leave out so many percent of the ends at either side, so that a far outlier dims nothing.
    """
    depths = [part[:, 2] for frame in frames for part in (frame.start, frame.end)]
    values = np.concatenate(depths) if depths else np.zeros(0)
    if not len(values):
        return 0.0, 0.0
    low, high = np.percentile(values, [percentile, 100 - percentile])
    return float(low), float(high)


class CapsuleRenderer:
    """Draws frames of capsules with one camera.

    Agrees with the original's sphere tracer within the noise of the latter's float32 normals, at a hundredth of its
    cost: a ray is intersected only with the capsules whose outline on the image holds its pixel.

    Args:
        height, width: of the images in pixels.
        intrinsics: (3, 3) in pixels; a pixel's ray goes through its integer index.
        depths: smallest and largest z of the clip (`depth_range`), between which colours are dimmed.
        samples: samples x samples rays per pixel are averaged; 1 is the original's look.
        device: a Warp device such as `cpu` or `cuda:0`; None takes CUDA where there is one.

    Raises:
        InputError: a size or a matrix that cannot be used.
        ConfigError: there is no such device.
    """

    def __init__(
        self,
        height: int,
        width: int,
        intrinsics: np.ndarray,
        depths: tuple[float, float],
        *,
        samples: int = 1,
        device: str | None = None,
    ) -> None:
        if min(height, width, samples) < 1 or height * width * samples**2 > MAX_PIXELS:
            raise InputError(
                "Images of this size cannot be drawn.",
                found=f"{height} x {width}, {samples} x {samples} samples",
                expected=f"1 to {MAX_PIXELS:,} samples",
            )
        matrix = np.asarray(intrinsics, np.float64)
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all() or min(matrix[0, 0], matrix[1, 1]) <= 0:
            raise InputError("Camera matrix that cannot be used.", found=str(np.asarray(intrinsics).tolist()))
        self.height, self.width, self.samples = height, width, samples
        self._shape = (height * samples, width * samples)
        self._device = _find_device(device)
        self._focal = matrix[[0, 1], [0, 1]] * samples
        self._centre = matrix[:2, 2] * samples + (samples - 1) / 2
        self._lens = self._make_lens(depths)
        # A CPU thread of Warp copies the kernel's arguments anew for each item: few long items there.
        self._run, self.batch = (64, 1) if self._device.is_cpu else (4, 16)

    def __call__(self, frame: Cylinders) -> Drawing:
        """Draw one frame."""
        return next(self.stream([frame]))

    def stream(self, frames: Iterable[Cylinders]) -> Iterator[Drawing]:
        """Draw frames as they come, `batch` of them in flight."""
        rest = iter(frames)
        while chunk := list(islice(rest, self.batch)):
            yield from self._draw(chunk)

    def _make_lens(self, depths: tuple[float, float]) -> Any:
        from contrapposto.systems.scail_pose.render_kernels import Lens

        lens = Lens()
        (lens.fx, lens.fy), (lens.cx, lens.cy) = self._focal, self._centre
        lens.near = max(depths[0], 0.1)
        lens.fade = min(depths[1] + 6000, 20000) - 0.1
        lens.limit = max(min(depths[1], 25000), 10000)
        lens.reach = _HIT
        return lens

    def _draw(self, frames: Sequence[Cylinders]) -> list[Drawing]:
        import warp as wp

        from contrapposto.systems.scail_pose.render_kernels import Bone, draw

        shape = (len(frames), *self._shape)
        rgba = wp.zeros((*shape, 4), dtype=wp.uint8, device=self._device)
        depth = wp.full(shape, float("inf"), dtype=float, device=self._device)
        ids = wp.full(shape, -1, dtype=wp.int32, device=self._device)
        bones = np.concatenate([self._bones(frame) for frame in frames])
        if len(bones):
            offsets = np.cumsum([0, *(len(frame.start) for frame in frames)]).astype(np.int32)
            left, top = bones["box"][:, [0, 2]].min(0)
            right, bottom = bones["box"][:, [1, 3]].max(0)
            arguments = [
                wp.array(bones, dtype=Bone, device=self._device),
                wp.array(offsets, dtype=wp.int32, device=self._device),
                *(self._lens, int(top), int(left), int(right), self._run, rgba, depth, ids),
            ]
            parts = -(-(right - left) // self._run)
            wp.launch(draw, (len(frames), bottom - top, parts), inputs=arguments, device=self._device)
        colors, depths, people = rgba.numpy(), depth.numpy(), ids.numpy()
        return [self._average(*parts) for parts in zip(colors, depths, people)]

    def _bones(self, frame: Cylinders) -> np.ndarray:
        from contrapposto.systems.scail_pose.render_kernels import Bone

        layout: Any = Bone  # a Warp structure, of which mypy sees the plain class only
        rows: np.ndarray = np.zeros(len(frame.start), layout.numpy_dtype())
        rows["start"], rows["end"], rows["color"] = frame.start, frame.end, frame.color
        rows["radius"], rows["person"] = frame.radius, frame.person
        rows["box"] = self._boxes(frame)
        return rows

    def _boxes(self, frame: Cylinders) -> np.ndarray:
        """(C, 4) left, right, top, bottom in samples: the hull of the outlines of the two end spheres."""
        ends = np.stack([frame.start, frame.end]).astype(np.float64)
        radius = frame.radius.astype(np.float64) + 2 * _HIT
        limits = []
        for axis in (0, 1):
            # Tangents from the origin to a circle around (x, z) in the plane of this axis and z.
            x, z = ends[..., axis], ends[..., 2]
            with np.errstate(invalid="ignore", divide="ignore"):
                root = radius * np.sqrt(x**2 + z**2 - radius**2)
                slopes = (x * z + np.array([-1, 1])[:, None, None] * root) / (z**2 - radius**2)
            pixels = slopes * self._focal[axis] + self._centre[axis]
            size = self._shape[1 - axis]
            unbounded = (z <= radius).any(0)
            low = np.where(unbounded, 0, np.floor(pixels.min((0, 1))))
            high = np.where(unbounded, size, np.ceil(pixels.max((0, 1))) + 1)
            limits += [np.clip(low, 0, size), np.clip(high, 0, size)]
        return np.stack(limits, -1).astype(np.int32)

    def _average(self, rgba: np.ndarray, depth: np.ndarray, ids: np.ndarray) -> Drawing:
        """The samples of each pixel: mean colour, smallest depth and its person."""
        if self.samples == 1:
            return Drawing(rgba, depth, ids)
        count, size = self.samples**2, (self.height, self.width)

        def grouped(values: np.ndarray) -> np.ndarray:
            cells = values.reshape(self.height, self.samples, self.width, self.samples, -1)
            return cells.transpose(0, 2, 1, 3, 4).reshape(*size, count, -1)

        color = grouped(rgba).mean(2, dtype=np.float32).round().astype(np.uint8)
        depths, people = grouped(depth)[..., 0], grouped(ids)[..., 0]
        nearest = depths.argmin(-1)[..., None]
        return Drawing(
            color,
            np.take_along_axis(depths, nearest, -1)[..., 0],
            np.take_along_axis(people, nearest, -1)[..., 0],
        )


def _find_device(device: str | None) -> Any:
    import warp as wp

    from contrapposto.render.launching import start_warp

    start_warp()
    try:
        return wp.get_device(drawing_device(device) or ("cuda:0" if wp.is_cuda_available() else "cpu"))
    except Exception as error:
        raise ConfigError(
            f"There is no device {device!r} to render on.", found=str(error), expected="cpu, cuda:0, ..."
        ) from error
