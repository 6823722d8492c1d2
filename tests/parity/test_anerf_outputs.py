"""A-NeRF's metrics and meshes against the original's numbers."""

from __future__ import annotations

import torch

from contrapposto.metrics import functional, image
from contrapposto.systems.anerf import cameras, kinematics
from contrapposto.systems.anerf.mesh import density_grid, surface
from tests.parity.golden import Case, parity
from tests.parity.test_anerf_render import official_model


@parity("anerf_metrics")
def test_metrics(case: Case) -> None:
    pred, true, mask = case["pred"], case["gt"], case["mask"][..., 0] > 0
    # Variances are differences of large numbers: the stored float32 map is 2e-4 away from a float64 one.
    similarity = image.ssim_map(pred, true)
    case.check(similarity, "ssim_map", tolerance=5e-4)
    assert float((similarity - case["ssim_map"]).abs().mean()) < 2e-5
    cylinders = kinematics.rendering_cylinder(case["kp3d"])
    height, width = pred.shape[1:3]
    box = cameras.cylinder_box(cylinders, case["c2ws"], case["focals"], height, width)
    case.check(torch.stack([box.low, box.high], dim=1), "boxes")
    region = image.box_region(box.low, box.high, height, width)
    case.check(region.flatten(1).sum(1), "n_valid")
    for suffix, part in (("", region), ("_fg", mask)):
        for name, measure in (("psnr", image.psnr), ("ssim", image.ssim)):
            case.check(measure(pred, true, part)[:2].mean(), f"val_{name}{suffix}", tolerance=1e-5)
    check_crops(case, box, mask)
    a, b = case["kp_pred"], case["kp_gt"]
    case.check(functional.position_error(a, b).mean(), "mpjpe")
    aligned = functional.procrustes_align(a, b, reflection=True)
    case.check(aligned, "aligned")
    case.check(functional.position_error(aligned, b).mean(), "pampjpe")
    scale = (a * b).sum((1, 2), keepdim=True) / a.square().sum((1, 2), keepdim=True)
    case.check(functional.position_error(a * scale, b).mean(), "nmpjpe")


def check_crops(case: Case, box: cameras.Box, mask: torch.Tensor) -> None:
    """At rendering time both pictures are cropped to the box before SSIM is computed."""
    true = case["gt_u8"].float() / 255
    actual: dict[str, list[torch.Tensor]] = {}
    for i in range(len(case["render_psnr"])):
        (x0, y0), (x1, y1) = box.low[i].tolist(), box.high[i].tolist()
        crop = (slice(i, i + 1), slice(y0, y1), slice(x0, x1))
        for prefix, part in (("render_", None), ("render_fg_", mask[crop])):
            for name, measure in (("psnr", image.psnr), ("ssim", image.ssim)):
                actual.setdefault(prefix + name, []).append(measure(case["pred"][crop], true[crop], part)[0])
    for key, values in actual.items():
        case.check(torch.stack(values), key, tolerance=1e-4)


@parity("anerf_mesh")
def test_mesh(case: Case) -> None:
    model, root = official_model(case), case["kp3d"][0, 0]
    grid = density_grid(model, case["skts"][0], root, resolution=case.manifest["config"]["res"])
    # The middle of the grid is the root joint: its direction in the root's frame is rounding and nothing else.
    beside = torch.ones_like(grid)
    middle = (case.manifest["config"]["res"] // 2,) * 3
    beside[middle] = 0
    largest = float(case["density"].abs().max())
    assert float(((grid - case["density"]) * beside).abs().max()) < 1e-4 * largest
    grid[middle] = case["density"][middle]
    vertices, faces = surface(grid, root, unit_cube=True)
    box = torch.from_numpy(vertices)
    case.check(torch.stack([box.amin(0), box.amax(0)]), "verts_bbox")
    # Tables of marching cubes agree on the vertices, not on the triangles between them.
    assert len(vertices) == int(case["n_verts_faces"][0])
    assert int(faces.min()) == 0
    assert int(faces.max()) == len(vertices) - 1
    case.check(box.mean(0), "verts_mean", tolerance=1e-4, absolute=True)
