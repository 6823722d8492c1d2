"""Splat avatars as meshes and as files of Gaussians."""

import io

import numpy as np
import torch
from PIL import Image

from contrapposto.body import load_body
from contrapposto.mesh.texels import texels
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
    body, surface = skinned_mesh(avatar(), 0.5)
    own = load_body("smpl")
    torch.testing.assert_close(body.rest_vertices(), own.rest_vertices(), atol=2e-3, rtol=0)
    torch.testing.assert_close(body.rest_joints()[0], own.rest_joints()[0], atol=2e-3, rtol=0)
    texture = np.asarray(Image.open(io.BytesIO(surface.materials[0].texture)))
    middle = surface.texture_coordinates[surface.texture_faces].mean(1)
    size = len(texture)
    colours = texture[(size - size * middle[:, 1]).astype(int), (size * middle[:, 0]).astype(int)]
    across = surface.vertices[surface.faces].mean(1)[:, 0]
    assert (colours[across > 0.05, 0] > 200).mean() > 0.99
    assert (colours[across < -0.05, 2] > 200).mean() > 0.99


def test_a_texture_keeps_what_wide_gaussians_show():
    """One white Gaussian, twice as wide as the spacing along its tangent, in a black avatar."""
    made = avatar()
    number = int((made.position - torch.tensor([0.0, 0.4, 0.3])).norm(dim=1).argmin())  # on the belly
    with torch.no_grad():
        made.colour[:] = -9
        made.colour[number] = 9
        made.log_scale[number, 0] = float((2 * made.spacing).log())
        made.opacity[number] = 5
    _, surface = skinned_mesh(made, 0.5)
    size = 1024
    image = np.asarray(Image.open(io.BytesIO(surface.materials[0].texture)))[..., 0] / 255.0
    pixels, owner, shares = texels(surface.texture_coordinates, surface.texture_faces, size)
    places = 2 * np.einsum("pc,pcd->pd", shares, surface.vertices[surface.faces[owner]])
    places = places - 2 * load_body("smpl").rest_joints()[0, 0].double().numpy()
    bright = image[tuple(pixels.T)] > 0.5
    ways = (places[bright] - made.position[number].numpy()) @ made.frame[number].numpy()
    assert ways[:, 0].std() / ways[:, 1].std() > 1.5


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
