"""What no image shows takes after what is beside it."""

import itertools

import numpy as np
import pytest
import torch

from contrapposto.systems.anerf.avatar import Avatar
from contrapposto.systems.anerf.data.scene import AvatarScene
from contrapposto.systems.anerf.paths import MODES
from contrapposto.systems.anerf.splats.fit import fit_avatar
from contrapposto.systems.anerf.splats.model import SplatOptions
from contrapposto.systems.anerf.splats.unseen import fill_unseen, visibility
from tests.lightning_modules.anerf_tiny import write_sticks
from tests.systems.anerf.splats.test_mesh import avatar


def test_the_back_is_filled_from_the_sides():
    made = avatar(2000)
    path = MODES["selected"](Avatar(made, made.figure.numpy(), 0.5).standing(), [0])
    bones = torch.linalg.inv(path.world_to_bone[0])
    seen = visibility(made, [(bones, path.view(0, (256, 256)))])
    facing = made.frame[:, 2, 2]  # at rest a figure looks along z, as it does to this camera
    assert float(seen[facing > 0.9].float().mean()) > 0.8 and float(seen[facing < -0.9].float().mean()) < 0.1
    before = made.colour.detach().clone()
    with torch.no_grad():
        made.colour[~seen] = torch.randn(int((~seen).sum()), 3)
    count = fill_unseen(made, seen)
    assert count == int((~seen).sum())
    assert torch.equal(made.colour[seen], before[seen])
    back = (~seen).numpy() & (np.abs(made.position[:, 0].numpy()) > 0.15)
    left = made.position[:, 0].numpy() > 0
    red = (made.colour[:, 0] > made.colour[:, 2]).numpy()
    assert (red[back] == left[back]).mean() > 0.95  # red on the left, blue on the right


def test_an_avatar_that_is_seen_from_all_sides_stays():
    made = avatar(200)
    before = made.colour.detach().clone()
    assert fill_unseen(made, torch.ones(200, dtype=torch.bool)) == 0
    assert torch.equal(made.colour, before)


def test_the_back_of_the_head_takes_the_colour_of_the_crown():
    made = avatar(4000)
    head = ((made.joint == 15) * made.weight).sum(1) > 0.5
    height = made.position[:, 1]
    level = (height - height[head].min()) / (height[head].max() - height[head].min())
    seen = made.frame[:, 2, 2] > -0.1
    with torch.no_grad():
        made.colour[head & (level > 0.75)] = torch.tensor([-2.0, -2.0, -2.0])  # hair
        made.colour[head & (level <= 0.75)] = torch.tensor([2.0, 1.0, 1.0])
    fill_unseen(made, seen)
    back = head & ~seen & (level > 0.3) & (level < 0.7)
    assert int(back.sum()) > 20 and float(made.colour[back].detach().max()) < -1.9


def test_clothes_end_at_the_same_height_behind_as_in_front():
    made = avatar(4000)
    height, arm = made.position[:, 1], torch.isin(made.joint[:, 0], torch.arange(16, 24))
    trunk = ~arm & (made.joint[:, 0] != 15) & (made.joint[:, 0] != 12)
    seen = made.frame[:, 2, 2] > 0.2
    with torch.no_grad():
        made.colour[height > 0] = torch.tensor([2.0, -2.0, -2.0])
        made.colour[height <= 0] = torch.tensor([-2.0, -2.0, 2.0])
    fill_unseen(made, seen)
    red = made.colour[:, 0] > made.colour[:, 2]
    behind = trunk & (made.frame[:, 2, 2] < -0.5) & (height.abs() > 0.04) & (height.abs() < 0.3)
    assert int(behind.sum()) > 100 and float((red == (height > 0))[behind].float().mean()) > 0.97
    deep = behind & (height.abs() > 0.12)
    assert float((made.colour[:, 0] - made.colour[:, 2]).abs()[deep].detach().min()) > 2


def test_what_shines_through_gives_no_colour():
    made = avatar(2000)
    seen, pale = made.frame[:, 2, 2] > 0, torch.arange(2000) % 3 == 0
    with torch.no_grad():
        made.colour[:] = torch.tensor([-1.0, -1.0, 1.0])
        made.colour[pale], made.opacity[pale] = torch.tensor([3.0, 3.0, 3.0]), -2.0
    fill_unseen(made, seen)
    assert float(made.colour[:, 0].detach().max()) < -0.9
    assert torch.equal(made.opacity[seen & pale], torch.full((int((seen & pale).sum()),), -2.0))


@pytest.mark.parametrize("side", [48, 512])
def test_what_is_seen_does_not_depend_on_the_size_of_the_image(side):
    """In a small image many Gaussians share each pixel; all of the front is seen nevertheless, and nothing of the back."""
    made = avatar(4000)
    path = MODES["selected"](Avatar(made, made.figure.numpy(), 0.5).standing(), [0])
    seen = visibility(
        made, [(torch.linalg.inv(path.world_to_bone[0]), path.view(0, (256, 256)).scaled(side / 256))]
    )
    facing, trunk = made.frame[:, 2, 2], made.position[:, 0].abs() < 0.1
    assert float(seen[trunk & (facing > 0.7)].float().mean()) > 0.95
    assert float(seen[trunk & (facing < 0)].float().mean()) < 0.02


def test_what_was_filled_stays_while_the_rest_learns_on(tmp_path):
    write_sticks(tmp_path)
    scene, colours = AvatarScene.open(tmp_path / "sticks"), []
    first = scene.camera_idxs[scene.split("train")] == 0
    scene.manifest["splits"]["train"] = scene.split("train")[first].tolist()
    fit_avatar(
        scene,
        steps=10,
        gaussians=SplatOptions(gaussians=400),
        progress=lambda step, subject, shown: colours.append(subject.avatar.colour.detach().clone()),
    )
    same = [(one == two).all(1) for one, two in itertools.pairwise(colours)]
    before, after = (int(step.sum()) for step in (same[5], same[8]))  # filled after eight steps
    assert before + 20 < after < 0.9 * 400
