"""Images of an avatar against those that were taken."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from contrapposto.files import atomic_path
from contrapposto.systems.anerf.data.images import clean_image

if TYPE_CHECKING:
    from contrapposto.systems.anerf.data.scene import AvatarScene
    from contrapposto.systems.anerf.view import Rendered


class Judge:
    """PSNR and SSIM on the box, images cropped to it first (docs/specs/anerf.md, section 9); the halo; LPIPS.

    `_fg` is inside the mask. LPIPS compares whole images: for `lpips_fg` both are the true one beside the person.

    Args:
        network: file of the network of LPIPS, see `contrapposto.metrics.lpips`; None: without LPIPS.

    Raises:
        MissingError, InputError: the file is not there, or holds something else.
    """

    def __init__(self, network: str | None = None) -> None:
        from contrapposto.metrics.lpips import load_lpips

        self.distance = None if network is None else load_lpips(network)
        self.rows: list[dict[str, float]] = []

    def add(self, scene: AvatarScene, image: int, shown: Tensor, rendered: Rendered) -> None:
        """Compare (H, W, 3) with an image of the scene."""
        from contrapposto.metrics.image import halo, psnr, ssim
        from contrapposto.metrics.lpips import lpips

        mask = torch.from_numpy(scene.mask(image).copy())
        true = torch.from_numpy(clean_image(scene, image)).float() / 255
        (left, top), (right, bottom) = rendered.low.tolist(), rendered.high.tolist()
        a, b, inside = (x[None, top:bottom, left:right] for x in (shown, true, mask))
        row = {"image": image, "psnr": float(psnr(a, b)), "ssim": float(ssim(a, b))}
        row |= {"psnr_fg": float(psnr(a, b, inside)), "ssim_fg": float(ssim(a, b, inside))}
        row["halo_percent"] = float(halo(rendered.opacity[None], mask[None]))
        if self.distance is not None:
            box = torch.zeros_like(mask)
            box[top:bottom, left:right] = True
            within = torch.where(mask[..., None], shown, true)
            for name, one, region in (("lpips", shown, box), ("lpips_fg", within, mask)):
                row[name] = float(lpips(self.distance, one[None], true[None], region[None]))
        self.rows.append(row)

    def write(self, path: Path) -> Path:
        """A row for every image; prints the means."""
        with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        names = [name for name in self.rows[0] if name != "image"]
        means = {name: np.nanmean([row[name] for row in self.rows]) for name in names}
        print("mean of " + ", ".join(f"{name} {value:.3f}" for name, value in means.items()))
        return path
