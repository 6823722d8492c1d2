"""What the splat avatar reaches in a given CPU time: python -m benchmarks.anerf_goals SCENE --seconds 60

One thread. Time is that of this process's CPU in training, without the evaluations and the start; the schedule follows
it. Evaluation is that of `evaluate.py`: PSNR and SSIM in the box of the body's cylinder, the halo, and for wrong poses
their error, over evenly spread held-out images. Scenes (python prepare.py ...):

    data=anerf_scene; data=anerf_scene_clothes; data=anerf_scene_noisy data.options.shape=heavy, with data.options.noise=0
    data.options.noise_shift=0 for the same without wrong poses
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contrapposto.files import write_json
from contrapposto.metrics.avatar import Halo
from contrapposto.metrics.image import box_region, psnr, ssim
from contrapposto.systems.anerf.data.images import ImageOptions, ImageSampler, clean_image
from contrapposto.systems.anerf.data.scene import AvatarScene
from contrapposto.systems.anerf.splats.fit import Filling, Subject, TrainingOptions
from contrapposto.systems.anerf.splats.losses import LossWeights
from contrapposto.systems.anerf.splats.model import SplatOptions
from contrapposto.systems.anerf.splats.renderer import SplatRenderer
from contrapposto.systems.anerf.splats.training import Refinement
from contrapposto.systems.anerf.view import View

SHARES = (0.1, 0.25, 0.5, 1.0)


def main() -> None:
    """Train and print a line at every mark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.anerf_goals", description=__doc__)
    parser.add_argument("scene", help="a scene of prepare.py")
    parser.add_argument("--seconds", type=float, default=60, help="CPU seconds of training")
    parser.add_argument("--gaussians", type=int, default=10_000)
    parser.add_argument("--camera", type=int, help="learn from the images of this camera alone")
    parser.add_argument("--refine", action="store_true", help="refine the poses")
    parser.add_argument("--wrinkles", action="store_true")
    parser.add_argument(
        "--fill", action="store_true", help="fill what no image shows, as task=anerf_fit does"
    )
    parser.add_argument("--smooth", type=float, default=0.0)
    parser.add_argument("--light", type=float, default=0.0)
    parser.add_argument("--most", type=int, default=24, help="images of each split")
    parser.add_argument("--output", help="JSON file of the table, and a PNG file of images beside it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    scene = AvatarScene.open(arguments.scene)
    images = scene.split("train")
    if arguments.camera is not None:
        images = images[scene.camera_idxs[images] == arguments.camera]
    weights = LossWeights(smooth=arguments.smooth, light=arguments.light)
    options = TrainingOptions(weights=weights, refinement=Refinement() if arguments.refine else None)
    splats = SplatOptions(arguments.gaussians, wrinkles=arguments.wrinkles)
    subject = Subject.of_scene(scene, splats, refined=arguments.refine)
    sampler = ImageSampler(scene, ImageOptions(), seed=0, images=images)
    filling = Filling(subject, sampler) if arguments.fill else None
    rows = _train(subject, scene, sampler, options, arguments.seconds, arguments.most, filling)
    if arguments.output:
        write_json(Path(arguments.output), {"arguments": vars(arguments), "rows": rows})
        _sheet(Path(arguments.output).with_suffix(".png"), scene, subject)


def _train(
    subject: Subject,
    scene: AvatarScene,
    sampler: ImageSampler,
    options: TrainingOptions,
    seconds: float,
    most: int,
    filling: Filling | None,
) -> list[dict[str, Any]]:
    optimizer, factors = subject.optimizer(options)
    rates = [group["lr"] for group in optimizer.param_groups]
    subject.terms(sampler.batch(0), 1.0, options)  # compiles the kernels
    marks, spent, step, rows = [seconds * share for share in SHARES], 0.0, 0, []
    while marks:
        started = time.process_time()
        if filling:
            filling.before_step(spent / seconds)
        for group, rate, factor in zip(optimizer.param_groups, rates, factors):
            group["lr"] = rate * factor(spent / seconds)
        terms, _ = subject.terms(sampler.batch(step), min(spent / seconds, 1.0), options)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        if filling:
            filling.after_step()
        spent, step = spent + time.process_time() - started, step + 1
        if spent >= marks[0]:
            marks = [mark for mark in marks if mark > spent]
            rows.append({"cpu_s": spent, "steps": step, **evaluate(subject, scene, most)})
            print("  ".join(f"{name} {value:.4g}" for name, value in rows[-1].items()), flush=True)
    return rows


@torch.no_grad()
def evaluate(subject: Subject, scene: AvatarScene, most: int) -> dict[str, float]:
    """Scores by split, and the error of all learnt poses where they were refined."""
    result: dict[str, float] = {}
    draw = SplatRenderer(subject.avatar)
    halo = Halo()
    for split in ("novel_view", "novel_pose"):
        images = scene.split(split)
        images = images[np.linspace(0, len(images) - 1, min(most, len(images))).astype(int)]
        values: dict[str, list[float]] = {"psnr": [], "ssim": []}
        for image in images:
            frame = draw(_bones(subject, scene, int(image)), _view(scene, int(image)))
            background = torch.from_numpy(np.array(scene.background(int(image)))).float() / 255
            true = torch.from_numpy(clean_image(scene, int(image))).float()[None] / 255
            box = box_region(frame.low[None], frame.high[None], *scene.hw)
            for name, measure in (("psnr", psnr), ("ssim", ssim)):
                values[name].append(float(measure(frame.over(background)[None], true, box)))
            halo.update(frame.opacity[None], torch.from_numpy(scene.mask(int(image)).copy())[None], split)
        result |= {f"{name}_{split}": float(np.mean(numbers)) for name, numbers in values.items()}
    result |= {f"halo_{name}": float(value) for name, value in halo.compute().items() if name == "mean"}
    if subject.poses is not None and scene.gt_kp3d is not None:
        learnt = torch.from_numpy(np.unique(scene.kp_idxs[scene.split("train")]))
        joints, truth = subject.poses.posed(learnt).joints, torch.from_numpy(np.array(scene.gt_kp3d))[learnt]
        mm = 1000 * (scene.metres_per_unit or 1.0)
        result["mpjpe_mm"] = float((joints - truth).norm(dim=-1).mean()) * mm
    return result


def _bones(subject: Subject, scene: AvatarScene, image: int) -> torch.Tensor:
    pose = scene.pose_index(image)
    if subject.poses is not None and image in set(scene.split("novel_view").tolist()):
        return subject.poses.posed(torch.tensor([pose])).world_to_bone[0]
    return torch.from_numpy(np.array(scene.skts[pose]))


def _view(scene: AvatarScene, image: int) -> View:
    camera = scene.camera_index(image)
    matrix, focal, centre = (
        torch.from_numpy(np.array(array[camera])) for array in (scene.c2ws, scene.focals, scene.centers)
    )
    return View(matrix, focal, *scene.hw, centre)


@torch.no_grad()
def _sheet(path: Path, scene: AvatarScene, subject: Subject) -> None:
    """Truth above the avatar, four images of each split."""
    from contrapposto.render import write_png

    columns, draw = [], SplatRenderer(subject.avatar)
    for split in ("novel_view", "novel_pose"):
        images = scene.split(split)
        for image in images[np.linspace(0, len(images) - 1, 6).astype(int)[1:5]]:
            background = torch.from_numpy(np.array(scene.background(int(image)))).float() / 255
            shown = draw(_bones(subject, scene, int(image)), _view(scene, int(image))).over(background)
            columns.append(np.concatenate([clean_image(scene, int(image)), (shown * 255).byte().numpy()]))
    write_png(path, np.concatenate(columns, axis=1))


if __name__ == "__main__":
    main()
