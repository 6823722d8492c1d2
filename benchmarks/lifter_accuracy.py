"""Joints in space of rendered people whose joints are known: the lifter against BlazePose's landmarks in space.

    python -m benchmarks.lifter_accuracy stores/amass lifter.onnx another.ckpt

Both get the keypoints and the images of the same BlazePose: held-out clips of a store on the shipped figure, 15
frames/s, before a camera of 55 degrees that stands still, at a height of 1 to 2.2 m, anywhere around the figure.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from contrapposto.body import load_body, motion_vertices
from contrapposto.metrics.functional import jerk, position_error, procrustes_align
from contrapposto.motion import Motion
from contrapposto.render import Camera, Mesh, Scene, render, write_png
from contrapposto.skeleton import SMPL24
from contrapposto.systems.scail_pose.estimators.blazepose.estimator import BlazePoseEstimator
from contrapposto.systems.scail_pose.estimators.lifted import LifterBody

FPS, WIDTH, HEIGHT = 15.0, 480, 640
SKIN, SHIRT, TROUSERS = (0.82, 0.62, 0.52), (0.25, 0.38, 0.62), (0.22, 0.2, 0.2)


def held_out(store: Path, count: int, frames: int) -> list[tuple[str, Motion]]:
    """Test clips of a store, spread evenly over it, each cut to its first frames."""
    from contrapposto.data.store import MotionStore
    from datamodules.splitting import split_clips

    opened = MotionStore.open(store)
    test = split_clips(opened, test_share=0.1, val_share=0.05).test
    chosen = test[np.linspace(0, len(test) - 1, min(count, len(test))).astype(int)]
    clips = [(opened.clips[i].name, opened[i].resample(FPS)) for i in chosen]
    return [(name, clip.frames(0, min(frames, clip.num_frames))) for name, clip in clips]


def camera_for(motion: Motion, generator: np.random.Generator) -> Camera:
    """A camera that has the whole way in its image."""
    places = motion.joint_positions().reshape(-1, 3)
    middle = (places.min(0) + places.max(0)) / 2
    azimuth, height = generator.uniform(0, 2 * np.pi), generator.uniform(1.0, 2.2)
    reach = float(np.linalg.norm(places - middle, axis=1).max())
    away = max(2.2 * reach, 2.4) * np.array([np.cos(azimuth), np.sin(azimuth), 0])
    eye = middle + away
    eye[2] = height
    return Camera.look_at(eye, middle, fov_degrees=55.0, size=(WIDTH, HEIGHT))


def rendered(motion: Motion, camera: Camera) -> list[np.ndarray]:
    """The clip on the shipped body, dressed in plain colours."""
    body = load_body("smplh")
    owner = body.skinning.weights.argmax(1).numpy()
    legs, torso = np.isin(owner, [0, 1, 2, 4, 5]), np.isin(owner, [3, 6, 9, 13, 14, 16, 17])
    colors = np.where(legs[:, None], TROUSERS, np.where(torso[:, None], SHIRT, SKIN))
    colors[np.isin(owner, [7, 8, 10, 11])] = (0.9, 0.9, 0.88)
    faces, shapes = body.faces.numpy(), motion_vertices(body, motion)
    return [render(Scene([Mesh(shape, faces, colors)]), camera, samples=1).color for shape in shapes]


def true_joints(motion: Motion, camera: Camera) -> np.ndarray:
    """(F, 24, 3) metres before the camera."""
    return camera.to_camera(motion.to_skeleton(SMPL24).joint_positions())


def judge(pred: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Errors in mm and percent over the frames and joints that are known; jitter where frames follow each other."""
    known = np.isfinite(pred).all(-1)
    whole = known[:, 0]
    about, wanted = (torch.from_numpy(v[whole] - v[whole][:, :1]).float() for v in (pred, true))
    seen = torch.from_numpy(known[whole])
    error = position_error(about, wanted)[seen]
    complete = seen.all(-1)
    aligned = position_error(procrustes_align(about[complete], wanted[complete]), wanted[complete])
    return {
        "found": 100 * float(known.mean()),
        "mpjpe": 1000 * float(error.mean()),
        "pa_mpjpe": 1000 * float(aligned.mean()),
        "pck": 100 * float((error <= 0.15).float().mean()),
        "root": 1000 * float(np.linalg.norm(pred[whole, 0] - true[whole, 0], axis=-1).mean()),
        "jitter": float(jerk(torch.from_numpy(pred[whole][:, :22]), FPS).nanmean()),
    }


def compare(store: Path, lifters: Sequence[Path], count: int, frames: int, show: Path | None) -> None:
    """Print a line for each way, over all clips."""
    generator = np.random.default_rng(0)
    bodies = {str(path): LifterBody.from_pretrained(path) for path in lifters}
    results: dict[str, list[np.ndarray]] = {name: [] for name in ("truth", "blazepose", *bodies)}
    for name, motion in held_out(store, count, frames):
        camera = camera_for(motion, generator)
        images = rendered(motion, camera)
        if show:
            write_png(show / f"{Path(name).stem}.png", images[len(images) // 2])
        seen = BlazePoseEstimator(hands=False, face=False, most=1).people(images, camera.intrinsics)
        people = [here[:1] for here in seen]
        results["truth"].append(true_joints(motion, camera))
        results["blazepose"].append(_joints([[p.joints for p in here] for here in people]))
        for title, body in bodies.items():
            results[title].append(_joints(body.estimate(images, people, camera.intrinsics)))
        line = {title: judge(rows[-1], results["truth"][-1])["mpjpe"] for title, rows in results.items()}
        print(name, {title: round(value, 1) for title, value in line.items()}, flush=True)
    true = np.concatenate(results["truth"])
    for title, rows in results.items():
        result = judge(np.concatenate(rows), true)
        print(f"{title}:", "  ".join(f"{key} {value:.1f}" for key, value in result.items()))


def _joints(frames: Sequence[Sequence[np.ndarray] | np.ndarray]) -> np.ndarray:
    """(F, 24, 3) metres of the first person of each frame; NaN where there is nobody."""
    nobody = np.full((24, 3), np.nan)
    return np.stack([np.asarray(here[0], np.float64) / 1000 if len(here) else nobody for here in frames])


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("store", type=Path)
    parser.add_argument("lifters", type=Path, nargs="*")
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--show", type=Path, help="folder for one image of each clip")
    options = parser.parse_args()
    compare(options.store, options.lifters, options.clips, options.frames, options.show)


if __name__ == "__main__":
    main()
