"""Whole images of an avatar: pose and camera in, colour, opacity and depth out.

See docs/specs/anerf.md, sections 10 and 14.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from contrapposto.devices import device_of, free_bytes, in_chunks
from contrapposto.errors import ConfigError
from contrapposto.systems.anerf.cameras import box_pixels, cylinder_box, pixel_rays
from contrapposto.systems.anerf.capsules import NUM_SEGMENTS, Capsules, bone_segments, segment_distance
from contrapposto.systems.anerf.kinematics import EXT_SCALE, joints_of, rendering_cylinder
from contrapposto.systems.anerf.model import ANeRF
from contrapposto.systems.anerf.occupancy import occupancy_grid
from contrapposto.systems.anerf.view import Rendered, View

SPEEDS = ("exact", "pruned")
_CHUNKS = {"exact": 16, "pruned": 2048}
"""Rays at once on a CPU: layers of the exact path stay in the cache of a core; of pruned rays few samples are computed."""
_GPU_CHUNKS = (256, 32768)
"""Fewest and most rays at once on other devices, where a launch costs more than the work of a few rays."""
_SHARE = 0.25  # of the free memory that one chunk may take
GRID_PIXELS = 4000
"""Pixels in the figure's box from which on a grid of the pose's density saves more than it costs."""
_STOP = 1e-3  # transmittance on a ray that ends


class Renderer:
    """Draws images of a trained avatar.

    Args:
        model: put into evaluation mode.
        speed: "exact": every sample of the published algorithm. "pruned": samples outside of `capsules` are taken for
            empty, the coarse network is skipped, and rays end where no light is left.
        capsules: for "pruned", see `calibrate`.
        margin: of the cylinder, world units.
        grid_pixels: "pruned" images with as many pixels in the figure's box leave out what lies outside of a grid of
            the pose's density.

    Raises:
        ConfigError: no such speed, or "pruned" without capsules.
    """

    def __init__(
        self,
        model: ANeRF,
        *,
        speed: str = "exact",
        capsules: Capsules | None = None,
        margin: float = 250 * EXT_SCALE,
        grid_pixels: int = GRID_PIXELS,
    ) -> None:
        if speed not in SPEEDS or (speed == "pruned" and capsules is None):
            raise ConfigError(
                f"speed={speed} cannot be used.", expected="exact, or pruned with calibrated capsules"
            )
        self.model, self.margin, self.grid_pixels = model.eval(), margin, grid_pixels
        self.capsules = None
        if speed == "pruned" and capsules is not None:
            self.capsules = replace(capsules, stop=capsules.stop or _STOP)
        sparse = speed == "pruned" or model.config.capsule_radius is not None
        self.device = device_of(model)
        self.chunk = best_chunk(model, self.device, sparse=sparse)

    @torch.no_grad()
    def __call__(self, world_to_bone: Tensor, view: View, *, code_index: int | None = None) -> Rendered:
        """An image of one pose, computed where the model is; it comes back to the device of the pose.

        Args:
            world_to_bone: (J, 4, 4).
            view: the camera.
            code_index: frame code, -1 for the mean; the mean where the model has codes and none is given.

        Raises:
            ConfigError: the device's memory does not even suffice for a few rays at a time.
        """
        here = world_to_bone.device
        bones, camera = world_to_bone.to(self.device), view.to(self.device)
        image, self.chunk = in_chunks(
            lambda chunk: self._image(bones, camera, code_index, chunk), self.chunk, device=self.device
        )
        return image.to(here)

    def _image(self, world_to_bone: Tensor, view: View, code_index: int | None, chunk: int) -> Rendered:
        cylinder = rendering_cylinder(joints_of(world_to_bone), self.margin)
        box = cylinder_box(
            cylinder, view.camera_to_world, view.focal, view.height, view.width, centre=view.centre
        )
        pixels = box_pixels(*box, view.width)
        origins, directions = pixel_rays(
            pixels, view.width, view.height, view.focal, view.camera_to_world, view.centre
        )
        flat, capsules = origins.new_zeros(view.height * view.width, 5), self.capsules
        if capsules is not None and len(pixels) >= self.grid_pixels:
            grid = occupancy_grid(self.model, world_to_bone, capsules)
            capsules = replace(capsules, occupancy=grid)
        for part in torch.arange(len(pixels), device=pixels.device).split(chunk):
            flat[pixels[part]] = self._rays(
                origins[part], directions[part], world_to_bone, cylinder, code_index, capsules
            )
        image = flat.view(view.height, view.width, 5)
        return Rendered(image[..., :3], image[..., 3], _depth(image[..., 4], image[..., 3]), *box)

    def _rays(
        self,
        origins: Tensor,
        directions: Tensor,
        world_to_bone: Tensor,
        cylinder: Tensor,
        code: int | None,
        capsules: Capsules | None,
    ) -> Tensor:
        """(R, 5) colour, opacity, disparity."""
        index = torch.zeros(len(origins), dtype=torch.int64, device=origins.device)
        codes = None if not self.model.config.num_codes else index + (-1 if code is None else code)
        result = self.model(
            origins,
            directions,
            world_to_bone[None],
            cylinder.expand(len(origins), 5),
            pose_index=index,
            code_index=codes,
            capsules=capsules,
        ).fine
        return torch.cat([result.colour, result.opacity[:, None], result.disparity[:, None]], dim=1)


def best_chunk(model: ANeRF, device: torch.device, *, sparse: bool) -> int:
    """Rays at once: few on a CPU, by the free memory elsewhere.

    Args:
        model: whose samples and widths count.
        device: of the model.
        sparse: few samples of a ray are computed.
    """
    if device.type == "cpu":
        return _CHUNKS["pruned" if sparse else "exact"]
    config, least_most = model.config, _GPU_CHUNKS
    samples = config.coarse_samples + config.fine_samples
    # Per sample: encoding and two layers in float32, at least; joints times frequencies bound the encoding.
    values = 4 * config.width + 24 * 8 * (config.distance_frequencies + config.view_frequencies + 2)
    free = free_bytes(device) or 4 * 2**30
    fits = int(_SHARE * free / (4 * samples * values))
    return min(max(fits, least_most[0]), least_most[1])


@torch.no_grad()
def calibrate(
    model: ANeRF,
    poses: Tensor,
    views: Sequence[View],
    *,
    rays: int = 1500,
    lost: float = 5e-4,
    limit: float = 0.8,
    margin: float = 250 * EXT_SCALE,
) -> Capsules:
    """Capsules that hold what a model shows: a radius per bone, measured on exact renderings.

    Every sample belongs to its nearest bone; a bone's radius leaves out the farthest samples that have a share `lost` of
    the bone's weight.

    Args:
        model: trained.
        poses: (P, J, 4, 4), each seen by its view.
        views: one per pose.
        rays: looked at in all, evenly spread over the boxes.
        lost: share of the weight outside.
        limit: world units; what floats farther from all bones is not of the body.
        margin: of the cylinder.
    """
    model.eval()
    device = device_of(model)
    distances, weights, bones = [], [], []
    for pose, view in zip(poses.to(device), [view.to(device) for view in views]):
        cylinder = rendering_cylinder(joints_of(pose), margin)
        box = cylinder_box(
            cylinder, view.camera_to_world, view.focal, view.height, view.width, centre=view.centre
        )
        pixels = box_pixels(*box, view.width)
        pixels = pixels[:: max(len(pixels) * len(views) // rays, 1)]
        lines = pixel_rays(pixels, view.width, view.height, view.focal, view.camera_to_world, view.centre)
        for origins, directions in zip(*(line.split(256) for line in lines)):
            index = torch.zeros(len(origins), dtype=torch.int64, device=origins.device)
            codes = index - 1 if model.config.num_codes else None
            result = model(
                origins,
                directions,
                pose[None],
                cylinder.expand(len(origins), 5),
                pose_index=index,
                code_index=codes,
            )
            seen = result.fine.weights > 1e-4
            points = (origins[:, None] + result.depths[..., None] * directions[:, None])[seen]
            nearest = segment_distance(points, bone_segments(pose)).min(-1)
            distances.append(nearest.values)
            bones.append(nearest.indices)
            weights.append(result.fine.weights[seen])
    return Capsules(
        _radii(torch.cat(distances), torch.cat(weights), torch.cat(bones), lost, limit), share_coarse=True
    )


def _radii(distance: Tensor, weight: Tensor, bone: Tensor, lost: float, limit: float) -> Tensor:
    """(23,) radii from samples (N,)."""
    radii = distance.new_full((NUM_SEGMENTS,), 0.05)
    for number in range(NUM_SEGMENTS):
        mine = (bone == number) & (distance < limit)
        if not bool(mine.any()):
            continue
        far = distance[mine].argsort(descending=True)
        beyond = weight[mine][far].cumsum(0)
        first = int((beyond < lost * beyond[-1]).sum())
        radii[number] = 1.05 * distance[mine][far][first] + 0.02
    return radii


def _depth(disparity: Tensor, opacity: Tensor) -> Tensor:
    return torch.where(opacity > 0.1, 1 / disparity.clamp_min(1e-10), torch.inf)
