"""NPR's extractor, applier, transfer and training against the original's numbers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapposto.mesh.operators import face_centroids
from contrapposto.mesh.poisson import PoissonSolver
from contrapposto.mesh.surface_sampling import furthest_points
from contrapposto.systems.npr.extractor import PoseCode
from contrapposto.systems.npr.model import NPR, vertex_loss
from contrapposto.weights import import_official
from tests.parity.golden import Case, parity

EVAL = 2e-5  # of the extractor; the sheet: independent float32 implementations agree to 7e-7


def official(case: Case, **options: str) -> NPR:
    model = NPR(**options)  # type: ignore[arg-type]
    assert import_official(model, case.weights()).complete
    return model.eval()


def solver(case: Case, side: str) -> PoissonSolver:
    return PoissonSolver(case.arrays[f"{side}_v"], case.arrays[f"{side}_f"])


@parity("npr_fps")
def test_fps(case: Case) -> None:
    for entry in case.manifest["cases"]:
        actual = furthest_points(case[f"{entry['name']}_x"][None], entry["m"])[0]
        case.check(actual, f"{entry['name']}_idx")


@parity("npr_encoder")
def test_encoder(case: Case) -> None:
    model = official(case, norm_stats="running")
    field = solver(case, "src").jacobians(case["pose_v"].double()).float()
    case.check(field, "J", tolerance=1e-5)
    centroids = face_centroids(case["pose_v"], case["src_f"].long())
    case.check(centroids, "centroids", tolerance=1e-6)
    first = furthest_points(case["centroids"], 500)
    case.check(first, "fps500")
    rows = torch.arange(2)[:, None]
    case.check(furthest_points(case["centroids"][rows, first], 100), "fps100")
    stages = stage_outputs(model)
    for gradients in (False, True):  # in chunks, and at once
        with torch.set_grad_enabled(gradients):
            pose = model.encoder(case["centroids"], case["J"].flatten(-2))
        for name, output in stages.items():
            case.check(output[0][:, :24], f"mid_{name}", tolerance=EVAL)
        check_pose(case, pose, "", EVAL)
        case.check(model.encoder.code_of(pose.features), "z", tolerance=EVAL)
    model.train()
    with torch.no_grad():
        pose = model.encoder(case["centroids"][:1], case["J"][:1].flatten(-2))
    case.check(pose.code, "train_z", tolerance=EVAL)
    case.check(pose.features, "train_anchor_feats", tolerance=EVAL)
    begin, last = model.encoder.transformer_begin.bn, model.encoder.final_elementwise[2].bn3
    for norm, name in ((begin, "begin"), (last, "last")):
        case.check(norm.running_mean, f"train_rm_{name}", tolerance=EVAL)
        case.check(norm.running_var, f"train_rv_{name}", tolerance=EVAL)


def stage_outputs(model: NPR) -> dict[str, list[Tensor]]:
    """Lists that a forward pass fills, by the case's names of the stages."""
    encoder = model.encoder
    modules = {
        "transformer_begin": encoder.transformer_begin,
        "fc1": encoder.fc1,
        "final_transformer0": encoder.final_transformers[0],
        "final_elementwise0": encoder.final_elementwise[0],
        "final_transformer2": encoder.final_transformers[2],
    }
    for stage in (0, 1):
        modules[f"transition_down{stage}"] = encoder.transition_downs[stage]
        modules[f"elementwise_extra{stage}"] = encoder.elementwise_extras[stage]
        modules[f"transformer_down{stage}"] = encoder.transformer_downs[stage]
        modules[f"elementwise{stage}"] = encoder.elementwise[stage]
    actual: dict[str, list[Tensor]] = {name: [] for name in modules}
    for name, module in modules.items():
        module.register_forward_hook(
            lambda _m, _i, output, name=name: actual[name].insert(0, output.detach())
        )
    return actual


def check_pose(case: Case, pose: PoseCode, prefix: str, tolerance: float) -> None:
    case.check(pose.code, f"{prefix}z", tolerance=tolerance)
    case.check(pose.keypoints, f"{prefix}anchors", tolerance=tolerance)
    case.check(pose.features, f"{prefix}anchor_feats", tolerance=tolerance)


@parity("npr_decoder")
def test_decoder(case: Case) -> None:
    model = NPR(norm_stats="running").eval()
    report = import_official(model, case.weights(), optional=["encoder.*"])
    assert report.complete and len(report.matched) == len(case.weights())
    pose = PoseCode(case["anchors"], case["anchor_feats"], case["z"])
    for gradients in (False, True):
        with torch.set_grad_enabled(gradients):
            case.check(model.decoder.ct1(case["queries"], pose)[:, :64], "ct1")
            case.check(model.decoder(case["queries"], pose), "out")
            case.check(model.encoder.code_of(case["anchor_feats"]), "z_from_feats")


@parity("npr_transfer")
def test_transfer(case: Case) -> None:
    source, target = solver(case, "src"), solver(case, "tgt")
    model = official(case, norm_stats="running")
    with torch.no_grad():
        pose = model.encode(source, case["pose_v"])
        case.check(model.decode(target, pose[:1])[0], "eval_J")
        raw = model.apply_pose(target, pose)
        case.check(raw[0], "eval_raw")
        case.check(raw[0] - raw[0].mean(0), "eval_v")
        # The release stays in training mode: each sample by its own statistics, here without moving any.
        model.set_norm("batch")
        before = {name: value.clone() for name, value in model.state_dict().items()}
        pose = model.encode(source, case["pose_v"])
        decoded = model.decode(target, pose)
        case.check(decoded[0], "train_J")
        vertices = target.solve_centred(decoded)
        case.check(vertices[0], "train_v")
        case.check(vertices[1], "train_v1")
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@parity("npr_vertices")
def test_vertices(case: Case) -> None:
    model = official(case, norm_stats="running", output="vertices")
    with torch.no_grad():
        pose = model.encoder(case["pose_v"])
        check_pose(case, pose, "", EVAL)
        # A float64 run differs as much from the stored float32: 1e-5.
        case.check(model.decoder(case["queries"], pose), "out")


@parity("npr_train_poisson", "npr_train_jacobian")
def test_training(case: Case) -> None:
    model = official(case).train()
    source = solver(case, "src")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    for step, (sample, tolerance) in enumerate(((0, 1e-5), (1, 2e-4), (0, 2e-3))):
        posed = case["pose_v"][sample : sample + 1]
        pose = model.encode(source, posed)
        if case.name == "npr_train_poisson":
            output = model.apply_pose(source, pose, source.pinned(posed))
            loss = vertex_loss(output, posed)
        else:
            output = model.decode(source, pose)
            loss = F.mse_loss(output, case["J"][sample : sample + 1].flatten(-2))
        optimizer.zero_grad()
        loss.backward()
        expected = float(case["losses"][step])
        case.check_error(abs(loss.item() - expected) / expected, f"loss of step {step}", tolerance)
        if step == 0:
            case.check(output[0], "first_out")
            check_gradients(case, model)
        optimizer.step()
    case.check(model.decoder.fc_out.weight, "after_fc_out_weight", tolerance=1e-3)


def check_gradients(case: Case, model: NPR) -> None:
    parameters = dict(model.named_parameters())
    for key in case.arrays:
        if key.startswith("grad__"):
            case.check(parameters[key.removeprefix("grad__")].grad, key, tolerance=1e-3)
    norms = case.manifest["grad_norms_step0"]
    floor = 1e-6 * max(norms.values())  # below it are zeros in theory: rounding noise
    for name, norm in norms.items():
        gradient = parameters[name].grad
        actual = 0.0 if gradient is None else float(gradient.norm())
        case.check_error(max(abs(actual - norm) - floor, 0.0) / max(norm, floor), f"gradient of {name}", 1e-3)
