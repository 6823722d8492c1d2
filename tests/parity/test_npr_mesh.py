"""NPR's operators, Poisson layer, geometry, refinement losses and metrics against the original's numbers."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from contrapposto import rotations as rot
from contrapposto.mesh import operators
from contrapposto.mesh.neighbours import nearest, squared_distances
from contrapposto.mesh.poisson import PoissonSolver
from contrapposto.metrics import mesh as metrics
from contrapposto.metrics.functional import frechet_distance
from contrapposto.systems.npr.attention import take
from contrapposto.systems.npr.extractor import PoseCode
from contrapposto.systems.npr.refiner import RefinementLosses, latent_change
from tests.parity.golden import Case, parity


def dense(matrix: object) -> torch.Tensor:
    return torch.from_numpy(matrix.toarray())  # type: ignore[attr-defined]


@parity("npr_poisson")
def test_poisson(case: Case) -> None:
    exact = {"tolerance": 1e-9}
    for kind in ("closed", "open"):
        vertices, faces = case.arrays[f"{kind}_v"], case.arrays[f"{kind}_f"].astype(np.int64)
        case.check(dense(operators.gradient_matrix(vertices, faces)), f"{kind}_grad", **exact)
        lap = dense(operators.laplacian(vertices, faces))
        case.check(lap, f"{kind}_L", **exact)
        case.check(-lap / 2, f"{kind}_cot", **exact)
        areas = operators.doubled_areas(vertices, faces)
        case.check(torch.from_numpy(areas), f"{kind}_dblarea", **exact)
        by_component = operators.gradient_matrix(vertices, faces, order="component")
        case.check(dense(by_component).T * torch.from_numpy(np.tile(areas, 3)), f"{kind}_rhs", **exact)
        check_frames(case, kind, vertices, faces)
        for backend in ("cholespy", "scipy"):
            check_solves(case, kind, PoissonSolver(vertices, faces, backend=backend))


def check_frames(case: Case, kind: str, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Frames of faces and vertices: the release builds them and never uses them, so they exist only here."""
    corners = vertices[faces]
    first = corners[:, 1] - corners[:, 0]
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    normal = operators.face_normals(torch.from_numpy(vertices), torch.from_numpy(faces)).numpy()
    frames = np.stack([first, np.cross(normal, first), normal], axis=2)
    count = np.bincount(faces.ravel(), minlength=len(vertices)).astype(float)
    case.check(torch.from_numpy(count), f"{kind}_nfpv")
    total = np.zeros((len(vertices), 3, 3))
    np.add.at(total, faces.ravel(), np.repeat(frames, 3, axis=0))
    total /= count[:, None, None]
    total /= np.linalg.norm(total, axis=(1, 2), keepdims=True) + 1e-6
    for actual, key in ((frames, "basis_f"), (total, "basis_v")):
        if np.abs(actual - case.arrays[f"{kind}_{key}"]).max() > 1e-5:  # which edge comes first is not stated
            actual = np.stack([-actual[..., 0], -actual[..., 1], actual[..., 2]], axis=2)
        case.check(torch.from_numpy(actual), f"{kind}_{key}", tolerance=1e-5, absolute=True)


def check_solves(case: Case, kind: str, solver: PoissonSolver) -> None:
    exact = {"tolerance": 1e-8}
    case.check(solver.jacobians(solver.vertices), f"{kind}_J0", **exact)
    case.check(solver.jacobians(case[f"{kind}_def_v"]), f"{kind}_def_J", **exact)
    field, pin = case[f"{kind}_noisy_J"].requires_grad_(), case[f"{kind}_pin"]
    solved = solver.solve(field, pin)
    (solved * case[f"{kind}_weight"]).sum().backward()
    case.check(solved, f"{kind}_solve", **exact)
    case.check(field.grad, f"{kind}_solve_gradJ", **exact)
    case.check(solver.solve_centred(field), f"{kind}_solve_free", **exact)
    case.check(solver.solve(case[f"{kind}_T"] @ field, pin), f"{kind}_solve_T", **exact)
    both = solver.solve(torch.stack([field, case[f"{kind}_def_J"]]), pin)
    case.check(both[0], f"{kind}_solve", **exact)
    back = both[1] - both[1][:1] + case[f"{kind}_def_v"][:1]
    case.check(back, f"{kind}_def_v", **exact)


@parity("npr_geometry")
def test_geometry(case: Case) -> None:
    tight = {"tolerance": 1e-6, "absolute": True}
    vertices, faces = case["v"], case["f"].long()
    case.check(operators.face_centroids(vertices, faces), "centroids", **tight)
    scaled = []
    for one in vertices.numpy():
        centre, side = operators.unit_cube(one)
        scaled.append(torch.from_numpy((one - centre) / np.float32(side)))
    case.check(scaled[0], "norm0", **tight)
    case.check(torch.stack(scaled), "norm_batch", **tight)
    matrices = torch.from_numpy(Rotation.from_euler("xyz", case.arrays["euler"]).as_matrix())
    case.check(matrices, "R", **tight)
    quaternion = rot.matrix_to_quaternion(matrices)
    sign = (quaternion * case["quat"]).sum(-1, keepdim=True).sign()  # theirs is not standardised
    case.check(quaternion * sign, "quat", **tight)
    every = rot.matrix_to_quaternion(case["R_all"])
    every = every * (every * case["quat_torch"]).sum(-1, keepdim=True).sign()  # half turns have no sign
    case.check(every, "quat_torch", **tight)
    case.check(rot.quaternion_to_matrix(case["quat"]), "R_back", **tight)
    case.check(rot.quaternion_to_matrix(case["quat_torch"]), "R_back_torch", **tight)
    case.check(case["vec"] / (case["vec"].norm(dim=1, keepdim=True) + 1e-8), "vec_unit", **tight)
    case.check(matrices.permute(2, 1, 0).reshape(-1), "col", **tight)
    case.check(nearest(case["query"][None], case["pts"][None], 1)[0, :, 0], "nearest")
    case.check(squared_distances(case["sd_a"], case["sd_b"]), "sd", tolerance=1e-6)
    case.check(take(case["sd_b"], case["ip_idx"]), "ip", **tight)
    half = 3 * metrics.point_distance(case["l2_a"], case["l2_b"]).mean() / 6
    case.check(half, "l2", **tight)


@parity("npr_metrics")
def test_metrics(case: Case) -> None:
    pred, true = case["pred"], case["gt"]
    exact = {"tolerance": 1e-9}
    case.check(metrics.point_distance(pred, true), "pmd", **exact)
    case.check(metrics.point_distance(pred, true, centred=True), "pmd_centred", **exact)
    case.check(metrics.point_distance(pred, true, squared=False), "mean_dist", **exact)
    case.check(metrics.point_distance(pred, true) / 3, "mse", **exact)
    a, b = case["feat_a"], case["feat_b"]
    case.check(frechet_distance(a.mean(0), a.T.cov(), b.mean(0), b.T.cov()), "fid", tolerance=1e-6)
    case.check(metrics.kernel_distance(a, b), "kid", **exact)


@parity("npr_refine_losses")
def test_refinement_losses(case: Case) -> None:
    template = PoissonSolver(case.arrays["v"], case.arrays["f"])
    posed, exact = case["w"][None], {"tolerance": 1e-9}
    for reduction, key in (
        ("sum_square", "lap_sum_sq"),
        ("mean_norm", "lap_mean_norm"),
        ("mean_square", "lap_mean_sq"),
    ):
        losses = RefinementLosses(template, laplacian_reduction=reduction)
        case.check(losses.laplacian(posed), key, **exact)
    case.check(losses.laplacian_vectors(posed - template.vertices)[0], "lap", **exact)
    by_second = losses.edges[torch.argsort(losses.edges[:, 1], stable=True)]
    case.check(by_second.int(), "edges")
    case.check(losses.edge(posed), "edge_mean", **exact)
    case.check(RefinementLosses(template, edge_reduction="sum").edge(posed), "edge_sum", **exact)
    empty = torch.zeros(1, 256)
    before = PoseCode(case["z"][None], case["h"][None], empty)
    after = PoseCode(case["z2"][None], case["h2"][None], empty)
    case.check(latent_change(before, after).double(), "reg", tolerance=1e-6)
