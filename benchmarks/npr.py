"""NPR at full size: a transfer at 13,776 faces (the paper's human mesh), its parts, and its cost by number of faces.

Weights are random: the speed does not depend on them. The floor counts the products of the folded networks (no unused
keys, position layers multiplied out). The plain path computes and sorts all distances and folds nothing
(docs/specs/npr.md, sections 3 and 4; tests/systems/npr/plain.py, the reference of the parity tests).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.measure import Row, clock, compare, floor_share, flops, matmul_speed, seconds
from contrapposto.mesh import MeshAsset, Template
from contrapposto.systems.npr import NPR

FACES = 13_776
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
PLAIN = "all pairs spelled out, all distances sorted"


def run(threads: int) -> Iterator[Row]:
    """Every figure, one by one."""
    from tests.systems.npr import plain

    torch.manual_seed(0)
    model = NPR().eval().requires_grad_(False)
    template = Template(ellipsoid(FACES))
    pose = posed(template)
    with torch.no_grad():
        code = model.encode(template.solver, pose)
        field = model.decode(template.solver, code).double()
        parts: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "encode": (
                lambda: model.encode(template.solver, pose),
                lambda: plain.encode_mesh(model, template.solver, pose),
            ),
            "decode": (
                lambda: model.decode(template.solver, code),
                lambda: plain.decode_mesh(model, template.solver, code),
            ),
        }
        for name, (fast, slow) in parts.items():
            yield _row(f"npr, {name}, {FACES:,} faces", fast, slow, threads)
        yield Row(
            "npr, Poisson solve of a pose", 1 / seconds(lambda: template.solve(field)), "poses/s", threads
        )

        def transfer() -> Tensor:
            return template.solve(model.decode(template.solver, model.encode(template.solver, pose)).double())

        def slow_transfer() -> Tensor:
            taken = plain.encode_mesh(model, template.solver, pose)
            return template.solve(plain.decode_mesh(model, template.solver, taken).double())

        yield Row(
            f"npr, transfer, {FACES:,} faces, peak memory of the process", _peak_memory(), "MB", threads
        )
        yield _row(f"npr, transfer, {FACES:,} faces", transfer, slow_transfer, threads)
    yield from scaling(model, threads)


def _row(name: str, fast: Callable[[], object], slow: Callable[[], object], threads: int) -> Row:
    """Time, floor and ratio. Products that write into buffers escape the counter, so it counts the training path."""
    with torch.enable_grad():
        work = flops(fast)
    taken, ratio = compare(fast, slow, repeats=1)
    speed = matmul_speed()
    taken = min(taken, seconds(fast, repeats=3))
    return Row(
        name, 1 / taken, "transfers/s", threads, "float32", floor_share(work, taken, speed), ratio, PLAIN
    )


def scaling(model: NPR, threads: int) -> Iterator[Row]:
    """Seconds of a transfer by number of faces, the template's factorisation not counted."""
    for size in SIZES:
        template = Template(ellipsoid(size))
        pose = posed(template)

        def transfer(template: Template = template, pose: Tensor = pose) -> Tensor:
            return template.solve(model.decode(template.solver, model.encode(template.solver, pose)).double())

        with torch.no_grad():
            transfer()
            start = clock()
            transfer()
            yield Row(f"npr, transfer, {template.num_faces:,} faces", clock() - start, "s", threads)


def ellipsoid(faces: int) -> MeshAsset:
    """A closed, uneven mesh of about that many faces."""
    rings = round((faces / 4) ** 0.5)
    around, along = 2 * rings, rings + 1
    angle = np.arange(around) * 2 * np.pi / around
    height = np.pi * (np.arange(1, along)) / along
    ring = np.stack([np.cos(angle), 0 * angle, np.sin(angle)], axis=-1)
    points = np.sin(height)[:, None, None] * ring
    points[..., 1] = np.cos(height)[:, None]
    vertices = np.concatenate([points.reshape(-1, 3), [[0, 1, 0], [0, -1, 0]]])
    corner = (np.arange(along - 2)[:, None] * around + np.arange(around)).ravel()
    right = (np.arange(along - 2)[:, None] * around + np.roll(np.arange(around), -1)).ravel()
    first = np.stack([corner, right, corner + around], axis=1)
    second = np.stack([right, right + around, corner + around], axis=1)
    top, bottom, ends = len(vertices) - 2, len(vertices) - 1, (along - 2) * around
    turn = np.arange(around)
    following = np.roll(turn, -1)
    caps = [
        np.stack([np.full(around, top), following, turn], axis=1),
        np.stack([np.full(around, bottom), ends + turn, ends + following], axis=1),
    ]
    uneven = vertices + 0.02 * np.random.default_rng(0).standard_normal(vertices.shape) / rings
    return MeshAsset(uneven * [0.5, 1.0, 0.4], np.concatenate([first, second, *caps]))


def posed(template: Template) -> Tensor:
    """A pose (1, V, 3) of a template."""
    rest = template.solver.vertices
    return (rest + 0.03 * torch.sin(5 * rest[:, [1, 2, 0]])).float()[None]


def _peak_memory() -> float:
    """MB that a process of its own needs at most for the template and a transfer, torch and all libraries included."""
    script = """
import resource, torch
from benchmarks.npr import FACES, NPR, Template, ellipsoid, posed
model, template = NPR().eval().requires_grad_(False), Template(ellipsoid(FACES))
with torch.no_grad():
    code = model.encode(template.solver, posed(template))
    template.solve(model.decode(template.solver, code).double())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def plot(path: Path) -> None:
    """Draw the cost by number of faces."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    torch.set_num_threads(1)
    rows = list(scaling(NPR().eval().requires_grad_(False), 1))
    faces = [int(row.name.split()[-2].replace(",", "")) for row in rows]
    figure, axes = plt.subplots(figsize=(5, 3.6), layout="constrained")
    axes.loglog(faces, [row.value for row in rows], "o-", label="transfer")
    linear = [rows[-1].value * count / faces[-1] for count in faces]
    axes.loglog(faces, linear, ":", color="grey", label="linear")
    axes.set(xlabel="faces", ylabel="CPU seconds, one thread")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=140)
    for row in rows:
        print(f"{row.name:<40}{row.value:8.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=plot.__doc__)
    parser.add_argument("path", type=Path, help="the image")
    plot(parser.parse_args().path)
