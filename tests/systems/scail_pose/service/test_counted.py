"""The original service's choice of frames, against its rule as the fact sheet states it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contrapposto.errors import InputError
from contrapposto.render.video import VideoWriter
from contrapposto.systems.scail_pose.service.counted import CountedJob, chosen_frames
from contrapposto.video_file import VideoFile


@pytest.mark.parametrize(("count", "expected"), [(65, 65), (80, 65), (81, 81), (95, 81), (96, 81), (500, 81)])
def test_how_many(count: int, expected: int) -> None:
    frames = chosen_frames(count)
    assert len(frames) == len(set(frames)) == expected and frames[0] == 0
    assert frames[-1] == (80 if 81 <= count <= 95 else count - 1)


def test_which() -> None:
    assert chosen_frames(66).tolist() == [int(i * 65 / 64) for i in range(65)]  # cut, not rounded
    assert chosen_frames(90).tolist() == list(range(81))
    with pytest.raises(InputError, match="too few"):
        chosen_frames(64)


def test_a_clip_is_thinned_out(tmp_path: Path) -> None:
    path = tmp_path / "grey.mp4"
    with VideoWriter(path, 24, (32, 32), quality=10) as writer:
        for number in range(120):
            writer.write(np.full((32, 32, 3), 2 * number, np.uint8))
    frames = list(CountedJob("x", path, fps=None).frames(VideoFile.open(path)))
    seen = [float(image.mean()) / 2 for _, image in frames]
    assert np.allclose(seen, chosen_frames(120), atol=1.5) and len(seen) == 81
