"""The networks against the plain path, norms against torch's, official files, one batch learnt by heart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from contrapposto.errors import InputError
from contrapposto.mesh import Template
from contrapposto.mesh.operators import face_normals
from contrapposto.systems.npr import NPR, NeuralJacobianFields, vertex_loss
from contrapposto.systems.npr.layers import PointNorm
from tests.mesh.shapes import bent, sphere
from tests.systems.npr import plain

SMALL = {
    "extractor": {"points": (60, 20), "width": 24, "reduced": 16, "neighbours": 8, "first_neighbours": 6},
    "applier": {"width": 20, "hidden": 16, "blocks": 2},
}


def small(seed: int = 0, **options) -> NPR:
    torch.manual_seed(seed)
    model = NPR(**SMALL, **options)
    for parameter in model.parameters():  # away from the zeros and ones of initialisation
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model


@pytest.fixture(scope="module")
def template():
    mesh = sphere(2)  # uneven, so that no two neighbours are equally far
    return Template(mesh.moved(mesh.vertices + np.random.default_rng(0).normal(0, 0.02, mesh.vertices.shape)))


@pytest.fixture(scope="module")
def poses(template):
    mesh = template.mesh.vertices
    return template.normalized(
        torch.stack([torch.from_numpy(bent(mesh, a)) for a in (0.2, 0.7, 1.1)]).numpy()
    )


@pytest.mark.parametrize("gradients", [False, True])
def test_extractor_and_applier_are_the_plain_path(template, poses, gradients):
    model = small().double().eval()
    with torch.set_grad_enabled(gradients):
        pose = model.encode(template.solver, poses)
        field = model.decode(template.solver, pose)
        expected = plain.encode_mesh(model, template.solver, poses)
        assert torch.allclose(pose.features, expected.features, atol=1e-9)
        assert torch.allclose(pose.code, expected.code, atol=1e-9)
        assert torch.allclose(field, plain.decode_mesh(model, template.solver, expected), atol=1e-9)


def test_gradients_are_those_of_the_plain_path(template, poses):
    model = small().double().eval()
    found, expected = [], []
    for gradients, (encode, decode) in (
        (found, (model.encode, model.decode)),
        (expected, (lambda *a: plain.encode_mesh(model, *a), lambda *a: plain.decode_mesh(model, *a))),
    ):
        model.zero_grad()
        decode(template.solver, encode(template.solver, poses)).square().mean().backward()
        gradients += [parameter.grad.clone() for parameter in model.parameters()]
    for (name, _), ours, theirs in zip(model.named_parameters(), found, expected):
        assert torch.allclose(ours, theirs, atol=1e-9, rtol=1e-6), name


@pytest.mark.parametrize("output", ["jacobians", "vertices"])
def test_batches_do_not_mix_samples(template, poses, output):
    model = small(output=output).eval()
    batch = poses.float()
    with torch.no_grad():
        together = model(template.solver, batch)
        alone = torch.cat([model(template.solver, batch[i : i + 1]) for i in range(3)])
        assert torch.allclose(together, alone, atol=1e-5)
        model.train()
        assert torch.allclose(model(template.solver, batch), together, atol=1e-5)


def test_norm_against_torch():
    torch.manual_seed(0)
    ours, theirs = PointNorm(5), nn.BatchNorm1d(5)
    theirs.load_state_dict(ours.state_dict())
    points = torch.randn(1, 40, 5) * 3 + 2
    assert torch.allclose(ours(points)[0], theirs(points[0]), atol=1e-5)
    for name, value in theirs.state_dict().items():
        assert torch.allclose(ours.state_dict()[name], value, atol=1e-6), name
    ours.eval(), theirs.eval()
    ours.statistics = "running"
    assert torch.allclose(ours(points)[0], theirs(points[0]), atol=1e-5)
    ours.statistics = "batch"
    both = torch.cat([points, 5 * points + 1])
    assert torch.allclose(ours(both)[1], ours(both)[0], atol=1e-3)
    ours.train(), theirs.train()
    ours.train_norm = "batch"
    assert torch.allclose(ours(both).flatten(0, 1), theirs(both.flatten(0, 1)), atol=1e-5)


def official_file(model: nn.Module, path: Path) -> Path:
    torch.save({"model": model.state_dict(), "optim": {"state": {}, "param_groups": []}, "epoch": 299}, path)
    return path


def test_official_files_load_and_name_what_does_not_fit(tmp_path):
    first, second = small(1), small(2, norm_stats="running")
    report = second.load_official(official_file(first, tmp_path / "ckpt_epoch-000299.pth"))
    assert report.complete
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())
    assert second.encoder.fc1.weight is not first.encoder.fc1.weight
    assert all(m.statistics == "batch" for m in second.modules() if isinstance(m, PointNorm))
    with pytest.raises(InputError, match="do not fit NPR"):
        NPR().load_official(tmp_path / "ckpt_epoch-000299.pth")


@pytest.mark.parametrize(
    ("output", "count", "names"),
    [("jacobians", 4_493_641, 368), ("vertices", None, 366)],
)
def test_sizes_of_the_original(output, count, names):
    model = NPR(output)
    assert len(model.state_dict()) == names
    if count:
        assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize("make", [small, NeuralJacobianFields])
def test_one_batch_is_learnt_by_heart(template, poses, make):
    torch.manual_seed(0)
    model = make().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    posed = poses.float()
    losses = []
    for _ in range(40):
        loss = vertex_loss(model(template.solver, posed), posed)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0], losses[::10]


def test_njf_code_is_shared_by_all_faces(template, poses):
    torch.manual_seed(0)
    model = NeuralJacobianFields(16, 24, 3).double()
    code = model.encode(template.solver, poses)
    field = model.decode(template.solver, code)
    assert field.shape == (3, len(template.clean.faces), 9)
    places = plain.face_centroids(template.solver.vertices, template.solver.faces)
    own = torch.cat([places, face_normals(template.solver.vertices, template.solver.faces)], dim=1)
    x = torch.cat([code[:, None].expand(-1, len(own), -1), own.expand(3, -1, -1)], dim=2)
    for layer, norm in zip(model.layers, model.norms):
        x = torch.relu(norm(layer(x)))
    assert torch.allclose(field, model.layers[-1](x), atol=1e-12)


def test_wrong_use():
    with pytest.raises(ValueError, match="output"):
        NPR("normals")
    with pytest.raises(ValueError, match="norm_stats"):
        NPR(norm_stats="mean")
    with pytest.raises(ValueError, match="features"):
        small().encoder(torch.zeros(1, 100, 3))
