"""Continuing a motion by frames that were decoded elsewhere."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from contrapposto.systems.posegpt.poses import join_pose, split_pose
from contrapposto.systems.posegpt.seams import Seam
from tests.systems.posegpt.conftest import JOINTS

SEEN, FADE = 6, 4


@pytest.fixture
def parts():
    """Frames before, and the same as decoded with what follows: turned by constant rotations and shifted."""
    generator = torch.Generator().manual_seed(0)
    pose = (torch.randn(1, 20, 3 * JOINTS + 3, generator=generator) * 0.02).cumsum(1)
    offset = torch.randn(JOINTS, 3, generator=generator) * 0.3
    turns, places = split_pose(pose)
    turned = torch.from_numpy(
        (
            Rotation.from_rotvec(offset.repeat(20, 1).numpy())
            * Rotation.from_rotvec(turns.reshape(-1, 3).numpy())
        )
        .as_rotvec()
        .astype(np.float32)
    ).view(1, 20, JOINTS, 3)
    # From another place, and drifting by (0.2, 0.1, 0) until the seam.
    drift = torch.tensor([0.2, 0.1, 0.0]) * (torch.arange(20) / (SEEN - 1)).clamp_max(1)[:, None]
    return pose[:, :SEEN], join_pose(turned, places + torch.tensor([5.0, 5.0, 5.0]) + drift), pose


def relative(first, second):
    """(J,) angles between the rotations of two frames."""
    rotations = [Rotation.from_rotvec(split_pose(pose)[0].numpy()) for pose in (first, second)]
    return (rotations[0].inv() * rotations[1]).magnitude()


def test_the_seam_begins_as_the_motion_was_and_ends_as_it_was_decoded(parts):
    before, decoded, truth = parts
    result = Seam(before, decoded[:, :SEEN], FADE).apply(decoded[:, SEEN:])
    raw_jump = relative(decoded[0, SEEN], before[0, -1])
    jump = relative(result[0, 0], before[0, -1])
    step = relative(truth[0, SEEN], truth[0, SEEN - 1])
    assert raw_jump.min() > 0.05
    # Half a cosine over 4 frames has lost a tenth after one.
    assert (jump <= step + 0.11 * raw_jump.max()).all()
    assert relative(result[0, FADE], decoded[0, SEEN + FADE]).max() < 1e-3
    first, last = result[0, 0, -3:] - truth[0, SEEN, -3:], result[0, -1, -3:] - truth[0, -1, -3:]
    assert first.abs().max() < 0.011
    # The horizontal error made before the seam stays undone, the vertical one comes back in full.
    assert torch.allclose(last, torch.tensor([0.0, 0.1, 0.0]), atol=1e-5)


def test_pieces_give_the_whole(parts):
    before, decoded, _ = parts
    whole = Seam(before, decoded[:, :SEEN], FADE).apply(decoded[:, SEEN:])
    seam = Seam(before, decoded[:, :SEEN], FADE)
    pieces = [seam.apply(piece) for piece in decoded[:, SEEN:].split([1, 2, 5, 6], dim=1)]
    assert torch.allclose(torch.cat(pieces, dim=1), whole)


def test_nothing_changes_where_nothing_differs(parts):
    _, _, truth = parts
    result = Seam(truth[:, :SEEN], truth[:, :SEEN]).apply(truth[:, SEEN:])
    assert torch.allclose(result, truth[:, SEEN:], atol=1e-5)
