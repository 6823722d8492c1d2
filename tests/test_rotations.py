from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp
from torch import Tensor

from contrapposto import rotations as rot

torch.manual_seed(0)
UNIT = torch.nn.functional.normalize(torch.randn(7, 3, dtype=torch.float64), dim=-1)
ANGLES = torch.tensor([0.0, 1e-12, 1e-7, 1e-4, 0.5, np.pi - 1e-4, np.pi - 1e-8], dtype=torch.float64)
CASES = (UNIT[:, None] * ANGLES[None, :, None]).reshape(-1, 3)  # every axis with every angle


def scipy_of(axis_angle: Tensor) -> Rotation:
    return Rotation.from_rotvec(axis_angle.reshape(-1, 3).numpy())


def wxyz(rotation: Rotation) -> np.ndarray:
    return np.roll(rotation.as_quat(), 1, axis=-1)


def same_up_to_sign(first: np.ndarray, second: np.ndarray, tolerance: float) -> None:
    sign = np.sign((first * second).sum(-1, keepdims=True))
    np.testing.assert_allclose(first, sign * second, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_axis_angles_against_scipy(dtype: torch.dtype, tolerance: float) -> None:
    reference = scipy_of(CASES)
    matrices = rot.axis_angle_to_matrix(CASES.to(dtype))
    np.testing.assert_allclose(matrices.numpy(), reference.as_matrix(), atol=tolerance)
    same_up_to_sign(rot.axis_angle_to_quaternion(CASES.to(dtype)).numpy(), wxyz(reference), tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-7), (torch.float32, 1e-3)])
def test_back_to_axis_angles(dtype: torch.dtype, tolerance: float) -> None:
    """Up to half a turn the axis-angle is unique; near it, in float32, only the rotation is."""
    reference = scipy_of(CASES)
    for actual in (
        rot.matrix_to_axis_angle(torch.from_numpy(reference.as_matrix()).to(dtype)),
        rot.quaternion_to_axis_angle(torch.from_numpy(wxyz(reference)).to(dtype)),
        rot.quaternion_to_axis_angle(-torch.from_numpy(wxyz(reference)).to(dtype)),
    ):
        assert actual.norm(dim=-1).max() <= np.pi + 1e-6
        difference = Rotation.from_rotvec(actual.double().numpy()).inv() * reference
        assert difference.magnitude().max() < tolerance


def test_half_turns_exactly() -> None:
    for axis in (*torch.eye(3, dtype=torch.float64), *UNIT):
        matrix = 2 * axis[:, None] * axis[None] - torch.eye(3, dtype=torch.float64)
        actual = rot.matrix_to_axis_angle(matrix)
        same_up_to_sign(actual.numpy(), (axis * np.pi).numpy(), 1e-7)
        np.testing.assert_allclose(rot.axis_angle_to_matrix(axis * np.pi).numpy(), matrix.numpy(), atol=1e-12)


def test_quaternions_against_scipy() -> None:
    reference = Rotation.random(50, random_state=0)
    quaternions = torch.from_numpy(wxyz(reference))
    np.testing.assert_allclose(
        rot.quaternion_to_matrix(quaternions).numpy(), reference.as_matrix(), atol=1e-12
    )
    same_up_to_sign(
        rot.matrix_to_quaternion(torch.from_numpy(reference.as_matrix())).numpy(), quaternions.numpy(), 1e-12
    )
    other = Rotation.random(50, random_state=1)
    product = rot.quaternion_product(quaternions, torch.from_numpy(wxyz(other)))
    same_up_to_sign(product.numpy(), wxyz(reference * other), 1e-12)


def test_angles_beyond_half_a_turn_keep_their_sign() -> None:
    axis_angle = torch.tensor([[0.0, 0.0, 4.0]], dtype=torch.float64)
    assert rot.axis_angle_to_quaternion(axis_angle)[0, 0] < 0
    np.testing.assert_allclose(
        rot.quaternion_to_axis_angle(rot.axis_angle_to_quaternion(axis_angle)).numpy(),
        [[0, 0, 4 - 2 * np.pi]],
        atol=1e-12,
    )


def test_the_two_sixd_layouts() -> None:
    matrix = torch.arange(9.0).reshape(3, 3)
    assert rot.matrix_to_sixd_columns(matrix).tolist() == [0, 3, 6, 1, 4, 7]
    assert rot.matrix_to_sixd_interleaved(matrix).tolist() == [0, 1, 3, 4, 6, 7]
    proper = torch.from_numpy(Rotation.random(20, random_state=0).as_matrix())
    for there, back in (
        (rot.matrix_to_sixd_columns, rot.sixd_columns_to_matrix),
        (rot.matrix_to_sixd_interleaved, rot.sixd_interleaved_to_matrix),
    ):
        np.testing.assert_allclose(back(there(proper)).numpy(), proper.numpy(), atol=1e-12)


def test_sixd_of_a_network_is_orthonormalised_as_by_qr() -> None:
    raw = torch.randn(30, 6, dtype=torch.float64)
    columns = torch.stack([raw[:, :3], raw[:, 3:]], dim=-1)
    q, r = torch.linalg.qr(columns)
    q = q * torch.sign(r.diagonal(dim1=-2, dim2=-1))[:, None]
    actual = rot.sixd_columns_to_matrix(raw)
    np.testing.assert_allclose(actual[..., :2].numpy(), q.numpy(), atol=1e-10)
    np.testing.assert_allclose(torch.linalg.det(actual).numpy(), 1.0, atol=1e-10)
    np.testing.assert_allclose(
        rot.sixd_interleaved_to_matrix(columns.reshape(30, 6)).numpy(), actual.numpy(), atol=1e-12
    )
    assert torch.isfinite(rot.sixd_columns_to_matrix(torch.zeros(6))).all()


def test_geodesic_angles_against_scipy() -> None:
    first, second = Rotation.random(40, random_state=0), scipy_of(CASES)[:40]
    actual = rot.geodesic_angle(
        torch.from_numpy(first.as_matrix()), torch.from_numpy((first * second).as_matrix())
    )
    np.testing.assert_allclose(actual.numpy(), second.magnitude(), atol=1e-8)


def test_slerp_against_scipy() -> None:
    ends = Rotation.random(2, random_state=3)
    fractions = np.linspace(0, 1, 11)
    quaternions = torch.from_numpy(wxyz(ends))
    for sign in (1, -1):
        actual = rot.slerp(
            quaternions[:1].expand(11, 4), sign * quaternions[1:].expand(11, 4), torch.from_numpy(fractions)
        )
        same_up_to_sign(actual.numpy(), wxyz(Slerp([0, 1], ends)(fractions)), 1e-12)


@pytest.mark.parametrize("shape", [(), (0,), (2, 1, 5)])
def test_any_leading_dimensions(shape: tuple[int, ...]) -> None:
    axis_angle = torch.randn(*shape, 3)
    matrix = rot.axis_angle_to_matrix(axis_angle)
    quaternion = rot.matrix_to_quaternion(matrix)
    assert matrix.shape == (*shape, 3, 3) and quaternion.shape == (*shape, 4)
    assert rot.axis_angle_to_quaternion(axis_angle).shape == (*shape, 4)
    assert rot.quaternion_to_matrix(quaternion).shape == (*shape, 3, 3)
    assert rot.quaternion_to_axis_angle(quaternion).shape == (*shape, 3)
    assert rot.matrix_to_axis_angle(matrix).shape == (*shape, 3)
    assert rot.matrix_to_sixd_columns(matrix).shape == (*shape, 6)
    assert rot.sixd_interleaved_to_matrix(rot.matrix_to_sixd_interleaved(matrix)).shape == (*shape, 3, 3)
    assert rot.geodesic_angle(matrix, matrix).shape == shape
    assert rot.slerp(quaternion, quaternion, torch.zeros(shape)).shape == (*shape, 4)


@pytest.mark.parametrize(
    "function",
    [
        rot.axis_angle_to_matrix,
        rot.axis_angle_to_quaternion,
        lambda x: rot.quaternion_to_axis_angle(rot.axis_angle_to_quaternion(x)),
        lambda x: rot.matrix_to_axis_angle(rot.axis_angle_to_matrix(x)),
        lambda x: rot.matrix_to_sixd_columns(rot.axis_angle_to_matrix(x)),
        lambda x: rot.sixd_columns_to_matrix(rot.matrix_to_sixd_columns(rot.axis_angle_to_matrix(x))),
    ],
    ids=["matrix", "quaternion", "by quaternion", "by matrix", "sixd", "gram-schmidt"],
)
@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-5, 1e-3, 0.7, 3.1])
def test_gradients_against_finite_differences(function: Callable[[Tensor], Tensor], angle: float) -> None:
    start = (UNIT[:3] * angle).requires_grad_()
    weights = torch.randn_like(function(start))
    (gradient,) = torch.autograd.grad((function(start) * weights).sum(), start)
    step = 1e-6
    for index in range(start.numel()):
        shift = torch.zeros(start.numel(), dtype=torch.float64)
        shift[index] = step
        shift = shift.view_as(start)
        with torch.no_grad():
            difference = ((function(start + shift) - function(start - shift)) * weights).sum() / (2 * step)
        assert gradient.flatten()[index].item() == pytest.approx(difference.item(), abs=2e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("angle", [0.0, 1e-20, np.pi - 1e-7, np.pi, 2 * np.pi])
def test_gradients_are_finite_at_the_singular_places(angle: float, dtype: torch.dtype) -> None:
    start = (torch.cat([UNIT, torch.eye(3, dtype=torch.float64)]) * angle).to(dtype).requires_grad_()
    matrix = rot.axis_angle_to_matrix(start)
    total = rot.matrix_to_axis_angle(matrix).sum() + rot.matrix_to_quaternion(matrix).sum()
    total = total + rot.quaternion_to_axis_angle(rot.axis_angle_to_quaternion(start)).sum()
    total = total + rot.geodesic_angle(torch.eye(3, dtype=dtype).expand_as(matrix), matrix).sum()
    quaternion = rot.axis_angle_to_quaternion(start)
    total = (
        total
        + rot.slerp(
            quaternion, quaternion.detach(), torch.full(quaternion.shape[:-1], 0.5, dtype=dtype)
        ).sum()
    )
    (gradient,) = torch.autograd.grad(total, start)
    assert torch.isfinite(total) and torch.isfinite(gradient).all()


def test_the_geodesic_angle_has_the_slope_of_an_angle() -> None:
    """d angle / d (turn about the axis) is 1 away from 0 and pi, however near."""
    for angle in (1e-6, 1e-3, 1.0, np.pi - 1e-3):
        turn = torch.tensor(angle, dtype=torch.float64, requires_grad=True)
        matrix = rot.axis_angle_to_matrix(UNIT[0] * turn)
        (slope,) = torch.autograd.grad(rot.geodesic_angle(torch.eye(3, dtype=torch.float64), matrix), turn)
        assert slope.item() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (rot.axis_angle_to_matrix, (5, 4)),
        (rot.matrix_to_axis_angle, (9,)),
        (rot.quaternion_to_matrix, (3,)),
        (rot.matrix_to_sixd_columns, (3, 2)),
        (rot.sixd_columns_to_matrix, (3, 2)),
        (rot.sixd_interleaved_to_matrix, (5,)),
    ],
)
def test_wrong_shapes_are_refused_with_the_shape(
    function: Callable[[Tensor], Tensor], shape: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=str(shape[0])):
        function(torch.zeros(shape))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_closed_forms_against_roma(dtype: torch.dtype) -> None:
    roma = pytest.importorskip("roma")
    cases = torch.cat([CASES, 3 * torch.randn(200, 3, dtype=torch.float64)]).to(dtype)
    eps = 50 * torch.finfo(dtype).eps
    matrices = rot.axis_angle_to_matrix(cases)
    torch.testing.assert_close(matrices, roma.rotvec_to_rotmat(cases), atol=eps, rtol=0)
    quaternions = rot.matrix_to_quaternion(matrices)
    same_up_to_sign(quaternions.numpy(), roma.rotmat_to_unitquat(matrices).roll(1, -1).numpy(), eps)
    expected = roma.unitquat_to_rotmat(quaternions.roll(-1, -1))
    torch.testing.assert_close(rot.quaternion_to_matrix(quaternions), expected, atol=eps, rtol=0)


def test_gradients_of_whole_conversions() -> None:
    cases = CASES[:14].clone().requires_grad_()
    assert torch.autograd.gradcheck(rot.axis_angle_to_matrix, (cases,))
    turns = 2 * torch.randn(20, 3, dtype=torch.float64)
    matrices = rot.axis_angle_to_matrix(turns).requires_grad_()
    assert torch.autograd.gradcheck(rot.matrix_to_quaternion, (matrices,))
    quaternions = rot.axis_angle_to_quaternion(turns).requires_grad_()
    assert torch.autograd.gradcheck(rot.quaternion_to_matrix, (quaternions,))
