"""The body that ships: its compact file, the SMPL-style arrays made of it, and export for other programs.

File `assets/body/body.npz`, format `contrapposto-body/1` (made by `assets/body/build.py`, CC0):

| array | dtype, shape | meaning |
|---|---|---|
| format | text | `contrapposto-body/1` |
| steps | float64 (2,) | metres per unit of `template` and of `shapedirs` |
| template, shapedirs | uint8 (2, 3, V), (K, 2, 3, V) | bytes of int16, low and high |
| quads | uint8 (2, 4, F/2) | low and high bytes of uint16 vertex numbers |
| weight_joints, weights | uint8 (4, V), (2, 4, V) | joints of each vertex, bytes of weights in 1/65535 |
| regressor_rows, regressor_columns, regressor_values | uint8, uint16, float32 (N,) | entries of J_regressor |
| names, betas | text (M,), float32 (M, K) | coefficients of named shapes |

Rounding moves a vertex by at most 0.02 mm, and by 0.01 mm for each unit of a coefficient.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.errors import InputError
from contrapposto.files import ASSETS, atomic_path
from contrapposto.skeleton import SMPL24, SMPLH52, Skeleton

FORMAT = "contrapposto-body/1"
SHIPPED = ASSETS / "body" / "body.npz"
_TEMPLATE_STEP, _DIRECTION_STEP = 4e-5, 2e-5
_SMPL24_OF_52 = [*range(22), 25, 40]  # SMPL's hand joints lie at the roots of the middle fingers


@dataclass(frozen=True, eq=False)
class PackedBody:
    """The arrays of the file, as the table above states."""

    format: np.ndarray
    steps: np.ndarray
    template: np.ndarray
    shapedirs: np.ndarray
    quads: np.ndarray
    weight_joints: np.ndarray
    weights: np.ndarray
    regressor_rows: np.ndarray
    regressor_columns: np.ndarray
    regressor_values: np.ndarray
    names: np.ndarray
    betas: np.ndarray

    @classmethod
    def pack(
        cls,
        template: np.ndarray,
        directions: np.ndarray,
        regressor: np.ndarray,
        weights: np.ndarray,
        quads: np.ndarray,
        named: dict[str, np.ndarray],
    ) -> PackedBody:
        """Round and pack: template (V, 3) and directions (K, V, 3) in metres, dense regressor and weights.

        Raises:
            ValueError: a value is beyond what the steps can hold, or a vertex has more than four weights.
        """
        if int((weights > 0).sum(1).max()) > 4:
            raise ValueError("a vertex has more than four weights")
        joints = np.argsort(-weights, axis=1, kind="stable")[:, :4]
        rounded = np.round(np.take_along_axis(weights, joints, axis=1) * 65535).astype(np.uint16)
        rows, columns = np.nonzero(regressor > 1e-6)
        return cls(
            format=np.array(FORMAT),
            steps=np.array([_TEMPLATE_STEP, _DIRECTION_STEP]),
            template=_split(_quantise(template.T, _TEMPLATE_STEP)),
            shapedirs=np.stack([_split(_quantise(direction.T, _DIRECTION_STEP)) for direction in directions]),
            quads=_split(quads.T.astype(np.uint16)),
            weight_joints=np.where(rounded > 0, joints, 0).T.astype(np.uint8),
            weights=_split(rounded.T),
            regressor_rows=rows.astype(np.uint8),
            regressor_columns=columns.astype(np.uint16),
            regressor_values=regressor[rows, columns].astype(np.float32),
            names=np.array(list(named)),
            betas=np.stack(list(named.values())).astype(np.float32),
        )


def save_packed(path: str | Path, packed: PackedBody) -> None:
    """Write the compact file."""
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary, **{field.name: getattr(packed, field.name) for field in fields(packed)}
        )


def load_packed(path: str | Path = SHIPPED) -> PackedBody:
    """Read the compact file.

    Raises:
        InputError: another format, or another version of it.
    """
    with np.load(path, allow_pickle=False) as file:
        actual = str(file["format"]) if "format" in file.files else "no format entry"
        if actual != FORMAT:
            raise InputError(f"{path} is not a packed body.", found=actual, expected=FORMAT)
        return PackedBody(**{field.name: file[field.name] for field in fields(PackedBody)})


def unpack(packed: PackedBody) -> dict[str, np.ndarray]:
    """The arrays of a standard SMPL-H file, float32, without the pose correctives (they are zero)."""
    template_step, direction_step = packed.steps
    vertices = packed.template.shape[-1]
    quads = _join(packed.quads, np.uint16).T.astype(np.int64)
    weights = np.zeros((vertices, SMPLH52.num_joints), np.float64)
    for joints, values in zip(packed.weight_joints, _join(packed.weights, np.uint16)):
        weights[np.arange(vertices), joints] += values
    regressor = np.zeros((SMPLH52.num_joints, vertices), np.float64)
    regressor[packed.regressor_rows, packed.regressor_columns] = packed.regressor_values
    directions = np.stack([_join(direction, np.int16) for direction in packed.shapedirs], axis=-1)
    return {
        "v_template": (_join(packed.template, np.int16).T * template_step).astype(np.float32),
        "shapedirs": (directions.transpose(1, 0, 2) * direction_step).astype(np.float32),
        "J_regressor": (regressor / regressor.sum(1, keepdims=True)).astype(np.float32),
        "weights": (weights / weights.sum(1, keepdims=True)).astype(np.float32),
        "f": np.stack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]], axis=1).reshape(-1, 3),
        "kintree_table": _kintree(SMPLH52),
    }


@lru_cache(maxsize=2)
def shipped_arrays(layout: str) -> dict[str, np.ndarray]:
    """The shipped body as standard arrays, `smplh` (52 joints) or `smpl` (24: no fingers)."""
    arrays = unpack(load_packed())
    if layout == "smplh":
        return arrays
    weights, regressor = arrays["weights"], arrays["J_regressor"]
    hands = [weights[:, 22:37].sum(1, keepdims=True), weights[:, 37:].sum(1, keepdims=True)]
    return {
        **arrays,
        "weights": np.concatenate([weights[:, :22], *hands], axis=1),
        "J_regressor": regressor[_SMPL24_OF_52],
        "kintree_table": _kintree(SMPL24),
    }


def named_shapes() -> dict[str, np.ndarray]:
    """Coefficients (16,) of the shipped body for `male`, `female`, `child`, `heavy`, `thin`, `strong`."""
    packed = load_packed()
    return {str(name): betas for name, betas in zip(packed.names, packed.betas)}


def export_shipped(path: str | Path, layout: str = "smplh") -> Path:
    """Write the shipped body as a standard npz that the `smplx` package and its users load.

    Args:
        path: the file, usually `.../smplh/SMPLH_NEUTRAL.npz` or `.../smpl/SMPL_NEUTRAL.npz`.
        layout: `smplh` or `smpl`.
    """
    arrays = shipped_arrays(layout)
    vertices, joints = arrays["v_template"].shape[0], arrays["weights"].shape[1]
    extra: dict[str, Any] = {}
    if layout == "smplh":  # the hands' principal components, which we have none of: plain axis-angles
        for side in "lr":
            extra[f"hands_components{side}"] = np.eye(45, dtype=np.float32)
            extra[f"hands_mean{side}"] = np.zeros(45, np.float32)
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary,
            **{**arrays, **extra, "f": arrays["f"].astype(np.int32)},
            posedirs=np.zeros((vertices, 3, 9 * (joints - 1)), np.float32),
            bs_type=np.array("lrotmin"),
            bs_style=np.array("lbs"),
            licence=np.array("CC0 1.0"),
        )
    return Path(path)


def _kintree(skeleton: Skeleton) -> np.ndarray:
    # SMPL files store the root's missing parent as 2^32 - 1
    parents = [2**32 - 1 if parent < 0 else parent for parent in skeleton.parents]
    return np.array([parents, range(skeleton.num_joints)], dtype=np.int64)


def _quantise(values: np.ndarray, step: float) -> np.ndarray:
    units = np.round(values / step)
    if np.abs(units).max() > 32767:
        raise ValueError(f"values up to {np.abs(values).max():.3f} m do not fit into steps of {step} m")
    return units.astype(np.int16)


def _split(values: np.ndarray) -> np.ndarray:
    """16-bit values as two planes of bytes, low first: neighbours share high bytes, so they compress well."""
    unsigned = values.view(np.uint16)
    return np.stack([unsigned & 0xFF, unsigned >> 8]).astype(np.uint8)


def _join(planes: np.ndarray, dtype: type[np.generic]) -> np.ndarray:
    return (planes[0].astype(np.uint16) | (planes[1].astype(np.uint16) << 8)).view(dtype)
