"""The driving video beside the pose video: the same moments at the same times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contrapposto.render.video import VideoWriter
from contrapposto.systems.scail_pose.jobs import VideoJob
from contrapposto.systems.scail_pose.service.counted import CountedJob
from contrapposto.systems.scail_pose.service.preview import write_preview
from contrapposto.video_file import VideoFile


def ramp(path: Path, fps: float, frames: int) -> Path:
    """A video whose grey level tells the frame."""
    with VideoWriter(path, fps, (48, 32), quality=10) as writer:
        for number in range(frames):
            writer.write(np.full((32, 48, 3), 20 + 200 * number // frames, np.uint8))
    return path


@pytest.mark.parametrize("fps", [5.0, 16.0, 30.0])
def test_moments_agree(tmp_path: Path, fps: float) -> None:
    length = 90 if fps == 30 else 20
    source = ramp(tmp_path / "a.mp4", fps, length)
    frames = round(19 / fps * 16) + 1
    made = write_preview(VideoJob("x", source), tmp_path / "b.mp4", (64, 96), frames)
    images = [image for _, image in VideoFile.open(made).frames()]
    assert len(images) == frames and images[0].shape == (64, 96, 3)
    seen = (np.array([image.mean() for image in images]) - 20) / 200 * length / fps  # seconds of the source
    away = seen - np.arange(frames) / 16
    assert np.abs(away).max() < max(1 / fps, 1 / 16) + 0.05


def test_counted_frames_stay_one_to_one(tmp_path: Path) -> None:
    source = ramp(tmp_path / "a.mp4", 30, 90)
    made = write_preview(CountedJob("x", source, fps=None), tmp_path / "b.mp4", (64, 96), 81)
    images = [image.mean() for _, image in VideoFile.open(made).frames()]
    assert len(images) == 81 and np.allclose(images, 20 + 200 * np.arange(81) / 90, atol=4)
