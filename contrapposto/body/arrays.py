"""Checks on the arrays of a body file before anything is computed from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from contrapposto.errors import InputError
from contrapposto.skeleton import SMPL24, SMPLH52, SMPLX55, Skeleton

_FAMILY = {skeleton.num_joints: skeleton for skeleton in (SMPL24, SMPLH52, SMPLX55)}


@dataclass(frozen=True, eq=False)
class BodyArrays:
    """The arrays of a body, of shapes that fit together, finite, float32 or int64; made by `check`.

    Args:
        name, gender, shape_space: see `BodyModel`.
        v_template: (V, 3) metres.
        faces: (F, 3).
        shapedirs: (V, 3, S), the dynamic directions last.
        regressor: (J, V).
        weights: (V, J).
        parents: J parent joints, -1 for the root.
        posedirs: (V, 3, 9 (J - 1)), or None where they are all zero or absent.
        num_dmpls: how many of the shape directions are dynamic.
        named_shapes: coefficients by name.
    """

    name: str
    gender: str
    v_template: np.ndarray
    faces: np.ndarray
    shapedirs: np.ndarray
    regressor: np.ndarray
    weights: np.ndarray
    parents: tuple[int, ...]
    posedirs: np.ndarray | None = None
    num_dmpls: int = 0
    shape_space: str = "smpl"
    named_shapes: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def check(
        cls,
        arrays: Mapping[str, Any],
        *,
        name: str,
        gender: str,
        dmpls: np.ndarray | None = None,
        max_betas: int | None = None,
        shape_space: str = "smpl",
        named_shapes: Mapping[str, np.ndarray] | None = None,
    ) -> BodyArrays:
        """Take what a body needs from the entries of a file (see `BodyModel.from_arrays`).

        Raises:
            InputError: an entry is missing, of a wrong shape or not finite.
        """
        template = _floats(arrays, "v_template", name, (None, 3))
        vertices = len(template)
        parents = _parents(arrays, name)
        joints = len(parents)
        shapedirs = _floats(arrays, "shapedirs", name, (vertices, 3, None))[..., :max_betas]
        count = 0
        if dmpls is not None:
            dynamic = _floats({"dmpls": dmpls}, "dmpls", name, (vertices, 3, None))
            shapedirs, count = np.concatenate([shapedirs, dynamic], axis=2), dynamic.shape[2]
        posedirs = None
        if "posedirs" in arrays:
            posedirs = _floats(arrays, "posedirs", name, (vertices, 3, 9 * (joints - 1)))
        weights = _floats(arrays, "weights", name, (vertices, joints))
        if np.abs(weights.sum(1) - 1).max() > 1e-2:
            raise _wrong(name, "weights", "rows whose sum is not one", "skinning weights that sum to one")
        return cls(
            name=name,
            gender=gender,
            v_template=template,
            faces=_faces(arrays, name, vertices),
            shapedirs=shapedirs,
            regressor=_floats(arrays, "J_regressor", name, (joints, vertices)),
            weights=weights,
            parents=parents,
            posedirs=posedirs if posedirs is not None and posedirs.any() else None,
            num_dmpls=count,
            shape_space=shape_space,
            named_shapes=named_shapes or {},
        )

    def flat_posedirs(self) -> np.ndarray | None:
        """The pose correctives as (9 (J - 1), V * 3), or None."""
        return None if self.posedirs is None else self.posedirs.reshape(-1, self.posedirs.shape[2]).T

    def skeleton(self, rest: np.ndarray) -> Skeleton:
        """The skeleton with rest joints (J, 3); of the SMPL family where the tree is one of theirs."""
        above = rest[[max(parent, 0) for parent in self.parents]]
        offsets = rest - np.where(np.array(self.parents)[:, None] < 0, 0.0, above)
        standard = _FAMILY.get(len(self.parents))
        if standard is None or standard.parents != self.parents:
            names = tuple(f"joint_{joint}" for joint in range(len(self.parents)))
            return Skeleton(self.name, names, self.parents, offsets)
        # The very object for the shipped body, so that clips need not be mapped onto it.
        same = np.allclose(offsets, standard.offsets, atol=2e-6)
        return standard if same else standard.with_offsets(offsets)


def _floats(arrays: Mapping[str, Any], key: str, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    expected = "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
    if key not in arrays:
        raise InputError(
            f"The body {name} has no entry {key}.",
            found=", ".join(sorted(arrays)) or "nothing",
            expected=f"{key} of shape {expected}",
        )
    try:
        value = np.ascontiguousarray(arrays[key], dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise _wrong(name, key, str(error), f"numbers of shape {expected}") from error
    fits = value.ndim == len(shape) and all(want in (None, size) for want, size in zip(shape, value.shape))
    if not fits or 0 in value.shape[:2]:
        raise _wrong(name, key, f"shape {value.shape}", f"shape {expected}")
    if not np.isfinite(value).all():
        raise _wrong(name, key, "values that are not finite", "finite numbers")
    return value


def _faces(arrays: Mapping[str, Any], name: str, vertices: int) -> np.ndarray:
    if "f" not in arrays:
        raise InputError(f"The body {name} has no entry f.", expected="triangles f of shape (any, 3)")
    faces = np.asarray(arrays["f"])
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iu":
        raise _wrong(name, "f", f"{faces.dtype} of shape {faces.shape}", "integers of shape (any, 3)")
    faces = np.ascontiguousarray(faces, dtype=np.int64)
    if len(faces) and (faces.min() < 0 or faces.max() >= vertices):
        raise _wrong(name, "f", f"vertex numbers {faces.min()} to {faces.max()}", f"0 to {vertices - 1}")
    return faces


def _parents(arrays: Mapping[str, Any], name: str) -> tuple[int, ...]:
    table = np.asarray(arrays.get("kintree_table", ()))
    if table.ndim != 2 or table.shape[0] != 2 or table.dtype.kind not in "iu" or table.shape[1] < 1:
        raise _wrong(name, "kintree_table", f"shape {table.shape}", "integers of shape (2, joints)")
    # Row 0 holds the parents; the root's is stored as 2^32 - 1, that is -1 in 32 bits.
    parents = table[0].astype(np.int64).astype(np.uint32).astype(np.int32).astype(np.int64)
    if parents[0] != -1 or any(not 0 <= parent < joint for joint, parent in enumerate(parents) if joint):
        raise _wrong(
            name, "kintree_table", f"parents {parents.tolist()}", "the root first, parents before children"
        )
    return tuple(int(parent) for parent in parents)


def _wrong(name: str, key: str, actual: str, expected: str) -> InputError:
    return InputError(f"The entry {key} of the body {name} cannot be used.", found=actual, expected=expected)
