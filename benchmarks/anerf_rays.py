"""Rays drawn per second of CPU time from an avatar scene, one thread: python -m benchmarks.anerf_rays [SCENE]."""

from __future__ import annotations

import sys
import time

import torch

from contrapposto.systems.anerf.data import AvatarScene, RayOptions, RaySampler


def main() -> None:
    torch.set_num_threads(1)
    scene = AvatarScene.open(sys.argv[1] if len(sys.argv) > 1 else "stores/anerf_scene")
    for images, rays in ((256, 3072), (128, 2048), (16, 1024)):
        sampler = RaySampler(scene, RayOptions(images, rays))
        sampler.batch(0)
        best = 0.0
        for start in range(1, 61, 20):
            begin = time.process_time()
            for step in range(start, start + 20):
                sampler.batch(step)
            best = max(best, 20 * rays / (time.process_time() - begin))
        print(f"{rays} rays of {images} images: {best:,.0f} rays/s")


if __name__ == "__main__":
    main()
