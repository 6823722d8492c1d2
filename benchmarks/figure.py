"""The human figure: kinematics, skinning, windows, images."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import Row, compare, seconds
from contrapposto.body import load_body
from contrapposto.body.shipped import shipped_arrays
from contrapposto.data.windows import WindowReader, draw_windows
from contrapposto.skeleton import SMPLH52, forward_kinematics

BATCH = 64


def run(threads: int) -> list[Row]:
    """Kinematics by level, skinning, reading of windows."""
    rotations = torch.linalg.qr(torch.randn(BATCH, 52, 3, 3)).Q.contiguous()
    offsets = torch.from_numpy(SMPLH52.offsets)
    taken, ratio = compare(
        lambda: forward_kinematics(SMPLH52.parents, rotations, offsets), lambda: _by_joint(rotations, offsets)
    )
    rows = [
        Row(
            "kinematics of 52 joints, batch 64",
            BATCH / taken,
            "poses/s",
            threads,
            ratio=ratio,
            plain="joint by joint",
        )
    ]
    body = load_body()
    with torch.no_grad():
        taken, ratio = compare(lambda: body(rotations, None), smplx_forward(rotations))
    rows.append(
        Row(
            "skinning of 13,380 vertices, batch 64",
            BATCH / taken,
            "meshes/s",
            threads,
            ratio=ratio,
            plain="dense smplx-style",
        )
    )
    rows.append(_windows(threads))
    return rows


def _by_joint(rotations: torch.Tensor, offsets: torch.Tensor) -> list[torch.Tensor]:
    turned, positions = [rotations[:, 0]], [offsets[0].expand(len(rotations), 3)]
    for joint, parent in list(enumerate(SMPLH52.parents))[1:]:
        positions.append(positions[parent] + turned[parent] @ offsets[joint])
        turned.append(turned[parent] @ rotations[:, joint])
    return positions


def smplx_forward(rotations: torch.Tensor) -> Callable[[], object]:
    """The way of the smplx package: dense weights, pose correctives (zero here) computed all the same."""
    from smplx.lbs import lbs

    arrays = shipped_arrays("smplh")
    dense = {
        name: torch.from_numpy(np.asarray(arrays[name], np.float32))
        for name in ("v_template", "shapedirs", "J_regressor", "weights")
    }
    posedirs = torch.zeros(51 * 9, dense["v_template"].numel())
    betas = torch.zeros(BATCH, dense["shapedirs"].shape[-1])
    parents = torch.tensor(SMPLH52.parents)

    def call() -> object:
        shaped = (dense["v_template"], dense["shapedirs"], posedirs, dense["J_regressor"])
        return lbs(betas, rotations, *shaped, parents, dense["weights"], pose2rot=False)

    return call


def _windows(threads: int) -> Row:
    lengths = np.full(500, 600)
    with tempfile.TemporaryDirectory() as folder:
        paths = {"rotation_local_6d": (132,), "sparse": (3, 18), "root_translation": (3,)}
        for name, shape in paths.items():
            np.save(
                Path(folder) / f"{name}.npy",
                np.random.default_rng(0).random((lengths.sum(), *shape), np.float32),
            )
        reader = WindowReader({name: Path(folder) / f"{name}.npy" for name in paths}, lengths)
        step = iter(range(10**9))

        def batch() -> None:
            draw = draw_windows(0, next(step), lengths, 512, 20)
            for array in reader.read(draw.clips, draw.starts, 20).values():
                torch.from_numpy(array)

        return Row("windows of 20 frames, batch 512", 512 / seconds(batch), "windows/s", threads)
