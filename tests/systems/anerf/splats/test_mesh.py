"""Splat avatars as meshes and as files of Gaussians."""

import numpy as np
import torch

from contrapposto.body import load_body
from contrapposto.systems.anerf.splats.mesh import skinned_mesh, write_ply
from contrapposto.systems.anerf.splats.model import SplatAvatar, SplatOptions


def avatar(count=3000):
    """The shipped body, two units high per metre, red on its left and blue on its right."""
    rest = load_body("smpl").rest_joints()[0].double().numpy()
    made = SplatAvatar.on_body(2 * (rest - rest[0]), SplatOptions(gaussians=count))
    with torch.no_grad():
        left = made.position[:, 0] > 0
        made.colour[:] = -4
        made.colour[left, 0] = 4
        made.colour[~left, 2] = 4
    return made


def test_a_new_avatar_is_the_body_in_its_colours():
    body, colours = skinned_mesh(avatar(), 0.5)
    own = load_body("smpl")
    count = len(own.rest_vertices()[0])
    torch.testing.assert_close(body.rest_vertices()[0, :count], own.rest_vertices()[0], atol=2e-3, rtol=0)
    torch.testing.assert_close(body.rest_joints()[0], own.rest_joints()[0], atol=2e-3, rtol=0)
    across = body.rest_vertices()[0, :, 0].numpy()
    assert (colours[across > 0.05, 0] > 200).mean() > 0.97 and (
        colours[across < -0.05, 2] > 200
    ).mean() > 0.97


def test_offsets_move_the_surface():
    made = avatar()
    with torch.no_grad():
        made.offset[:] = torch.tensor([0.0, 0.0, 0.1])
    moved, plain = (skinned_mesh(which, 0.5)[0].rest_vertices()[0] for which in (made, avatar()))
    torch.testing.assert_close(
        moved - plain, torch.tensor([0.0, 0.0, 0.05]).expand_as(plain), atol=1e-4, rtol=0
    )


def test_a_file_of_gaussians_has_the_common_layout(tmp_path):
    made = avatar(50)
    data = write_ply(tmp_path / "a.ply", made, 0.5).read_bytes()
    header, body = data.split(b"end_header\n", 1)
    names = [line.split()[-1] for line in header.decode().splitlines() if line.startswith("property float")]
    assert names[:6] == ["x", "y", "z", "nx", "ny", "nz"] and names[6:10] == [
        "f_dc_0",
        "f_dc_1",
        "f_dc_2",
        "opacity",
    ]
    assert names[10:17] == ["scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    rows = np.frombuffer(body, "<f4").reshape(50, len(names))
    column = {name: rows[:, i] for i, name in enumerate(names)}
    np.testing.assert_allclose(column["x"], 0.5 * made.position[:, 0], atol=1e-6)
    colour = 0.5 + 0.28209479 * column["f_dc_0"]
    np.testing.assert_allclose(colour, torch.sigmoid(made.colour[:, 0]).detach(), atol=1e-5)
    np.testing.assert_allclose(np.exp(column["scale_2"]), 0.5 * 0.2 * float(made.spacing), rtol=1e-4)
    quaternion = np.stack([column[f"rot_{i}"] for i in range(4)], axis=1)
    np.testing.assert_allclose(np.linalg.norm(quaternion, axis=1), 1, atol=1e-5)
