"""A training step of NPR in its published size on one pose of the shipped body, and what its parts take."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

from benchmarks.measure import Row, clock, compare, floor_share, flops, matmul_speed
from contrapposto.body import load_body
from contrapposto.mesh import MeshAsset, decimate
from contrapposto.mesh.template import Template
from contrapposto.systems.npr import NPR, vertex_loss

plain: Any = import_module("tests.systems.npr.plain")  # the reference of the tests
FACES = (3444, 13776)  # sizes at which the original was measured (docs/specs/npr.md, section 15)


def run(threads: int) -> list[Row]:
    """Step rates with their share of the floor, beside the plain path; shares of the parts.

    The plain path needs several gigabytes at the larger size: all distances between faces.
    """
    return [row for faces in FACES for row in _rows(faces, threads)]


def _rows(faces: int, threads: int) -> list[Row]:
    torch.manual_seed(0)
    body = load_body()
    rest = MeshAsset(body.rest_vertices()[0].double().numpy(), body.faces.numpy())
    template = Template(decimate(rest, faces))
    model = NPR().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0, fused=True)
    posed = template.solver.vertices.float()[None]
    posed = posed + 0.02 * torch.sin(7 * posed.flip(-1))
    solver = template.solver

    def step() -> None:
        optimizer.zero_grad()
        vertex_loss(model(solver, posed), posed).backward()
        optimizer.step()

    def plain_step() -> None:
        optimizer.zero_grad()
        code = plain.encode_mesh(model, solver, posed)
        field = plain.decode_mesh(model, solver, code)
        vertex_loss(solver.solve(field, solver.pinned(posed)), posed).backward()
        optimizer.step()

    work = flops(step)
    taken, ratio = compare(step, plain_step, repeats=1)
    share = floor_share(work, taken, matmul_speed())
    title = f"npr, training step, {template.num_faces:,} faces"
    rows = [Row(title, 1 / taken, "steps/s", threads, floor_share=share, ratio=ratio, plain="unoptimised")]
    for name, time in _parts(model, template, posed).items():
        rows.append(Row(f"{title}: {name}", 100 * time / taken, "% of the step", threads))
    return rows


def _parts(model: NPR, template: Template, posed: torch.Tensor) -> dict[str, float]:
    """Seconds of the parts of one step."""
    solver, marks = template.solver, [clock()]
    solver.jacobians(posed.double())
    marks.append(clock())
    code = model.encode(solver, posed)
    marks.append(clock())
    field = model.decode(solver, code)
    marks.append(clock())
    loss = vertex_loss(solver.solve(field, solver.pinned(posed)), posed)
    marks.append(clock())
    loss.backward()
    marks.append(clock())
    names = ("Jacobians", "extractor", "applier", "solve", "backward")
    return {name: later - earlier for name, earlier, later in zip(names, marks, marks[1:])}
