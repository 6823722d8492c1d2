"""SCAIL-Pose: capsules against plain sphere tracing, overlays, and the whole way with the embedded estimator."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.measure import Row, clock, seconds
from contrapposto.systems.scail_pose.people import ClipPoses

HEIGHT, WIDTH = 512, 896


def run(threads: int) -> list[Row]:
    """Frames per second at 512 x 896."""
    rows = []
    for count in (1, 2, 4):
        rows.append(_renderer(count, threads))
    return [*rows, *_overlay(threads), _alignment(threads), *_whole(threads)]


def walking_clip(count: int) -> ClipPoses:
    """A walking figure, `count` times beside itself."""
    from contrapposto.synthetic import generate
    from contrapposto.systems.scail_pose.drawn_motion import clip_of_joints, clip_of_motion

    single, _ = clip_of_motion(generate("walk", seconds=2.0, seed=0, fps=16), HEIGHT, WIDTH, turn=30)
    joints = np.stack([frame[0].joints for frame in single.frames])[:, None]
    sides = (np.arange(count) - (count - 1) / 2)[None, :, None, None] * np.array([600.0, 0, 150])
    return clip_of_joints(joints + sides, HEIGHT, WIDTH)


def _renderer(count: int, threads: int) -> Row:
    from contrapposto.systems.scail_pose.pipeline import ClipDrawer

    drawer = ClipDrawer(walking_clip(count), device="cpu")
    frames = [drawer.cylinders(people) for people in drawer.clip.frames]

    def draw() -> None:
        for _ in drawer.renderer.stream(frames):
            pass

    rate = len(frames) / seconds(draw)
    plain = SphereTracer()
    plain(frames[0], drawer.intrinsics)
    start = clock()
    plain(frames[0], drawer.intrinsics)
    ratio = rate * (clock() - start)
    people = "1 person" if count == 1 else f"{count} people"
    return Row(
        f"capsules, {people}", rate, "frames/s", threads, ratio=ratio, plain="sphere tracing, same language"
    )


class SphereTracer:
    """The original's algorithm (docs/specs/scail_pose.md, section 7.2), compiled for the CPU by Warp."""

    def __init__(self) -> None:
        from benchmarks.scail_pose_tracer import march

        self.march = march

    def __call__(self, frame, intrinsics: np.ndarray) -> np.ndarray:
        import warp as wp

        image = wp.zeros((HEIGHT, WIDTH), dtype=wp.vec4, device="cpu")
        arrays = [
            wp.array(np.ascontiguousarray(values), dtype=kind, device="cpu")
            for values, kind in (
                (frame.start, wp.vec3),
                (frame.end, wp.vec3),
                (frame.color, wp.vec4),
                (frame.radius, float),
            )
        ]
        lens = [float(intrinsics[row, column]) for row, column in ((0, 0), (1, 1), (0, 2), (1, 2))]
        wp.launch(self.march, (HEIGHT, WIDTH), inputs=[*arrays, *lens, image], device="cpu")
        return image.numpy()


def _overlay(threads: int) -> list[Row]:
    from contrapposto.systems.scail_pose.draw2d import compose, draw_overlay
    from contrapposto.systems.scail_pose.wholebody import WholeBodyPose

    random = np.random.default_rng(0)
    face = 0.5 + random.normal(0, 0.02, (1, 68, 2))
    hands = np.array([0.3, 0.7])[:, None, None] + random.normal(0, 0.02, (2, 21, 2))
    body = random.uniform(0.45, 0.55, (1, 24, 2))
    pose = WholeBodyPose(body, np.arange(24.0)[None], face, hands)
    rgba = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    rate = 1 / seconds(lambda: compose(rgba, draw_overlay(pose, HEIGHT, WIDTH)))
    return [Row("face, hands and cheeks over the image", rate, "frames/s", threads)]


def _alignment(threads: int) -> Row:
    from contrapposto.systems.scail_pose.align import fit_camera
    from contrapposto.systems.scail_pose.camera import default_intrinsics, project

    camera = default_intrinsics(HEIGHT, WIDTH)
    points = np.random.default_rng(0).normal([0, 0, 3500], 300, (6, 3))
    target = project(points, camera)[:, :2] * 1.1
    weights = np.array([8.0, 1, 1, 1, 1, 1])
    return Row(
        "camera re-fit", 1 / seconds(lambda: fit_camera(points, target, camera, weights)), "fits/s", threads
    )


def _whole(threads: int) -> list[Row]:
    """Decode, estimate, clean, draw, encode; a real video where there is one."""
    import os

    folder = Path(os.environ.get("CONTRAPPOSTO_DATA", Path(__file__).parents[2] / "shared" / "data"))
    video = folder / "video" / "tfjs_pose" / "pose_squats.mp4"
    if not video.is_file():
        print(f"no video at {video}: the whole way is not measured")
        return []
    from contrapposto.systems.scail_pose.clean import Clean
    from contrapposto.systems.scail_pose.estimators import make_estimator
    from contrapposto.systems.scail_pose.jobs import VideoJob
    from contrapposto.systems.scail_pose.process import process
    from contrapposto.systems.scail_pose.settings import Settings

    rows = []
    for name, parts in (("hands and face", True), ("body only", False)):
        estimator = make_estimator("blazepose", hands=parts, face=parts, threads=threads)
        with tempfile.TemporaryDirectory() as out:
            settings = Settings(clean=Clean())
            process(VideoJob("warm", video, fps=None, seconds=1), estimator, Path(out), settings)
            start, wall = clock(), time.perf_counter()
            report = process(VideoJob("clip", video, fps=None), estimator, Path(out), settings)
            taken, real = clock() - start, time.perf_counter() - wall
        rows.append(
            Row(f"video to pose video, 1 person, {name}", report["frames"] / taken, "frames/s", threads)
        )
        print(f"  ({name}: {report['frames'] / real:.1f} frames/s by the clock on the wall)")
    return rows
