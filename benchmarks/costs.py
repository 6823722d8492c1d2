"""`python -m benchmarks.costs`: what a full-scale run of each model takes; writes the tables of docs/costs.md.

Every model trains five real steps at its full size with a small batch (`one_step`); what they count is scaled to the
batch and the steps of the full run (`full_runs`). Later stages start from the checkpoints that these steps leave.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.cost_tables import Cost, all_tables, devices_table
from benchmarks.full_runs import NPR_FACES, RUNS, FullRun
from benchmarks.measure import matmul_speed
from benchmarks.one_step import Step, train_steps
from benchmarks.page import write_between
from contrapposto.files import write_json


def make_stores(folder: Path) -> None:
    """Small stores of the three kinds."""
    from contrapposto.data.prepare import prepare
    from contrapposto.systems.anerf.data.prepare import prepare_avatar
    from contrapposto.systems.npr.data import prepare_meshes

    prepare("demo", output=folder / "demo", workers=1, minutes=3)
    motion = str(folder / "demo")
    shapes: dict[str, Any] = {"shapes": ["average", "heavy"], "remeshed": []}
    prepare_meshes(
        "smpl_poses", output=folder / "mesh", motion=motion, poses=16, num_faces=NPR_FACES, **shapes
    )
    clips: dict[str, Any] = {"clips": ["made/*"], "novel_clips": ["cmu/*"]}
    prepare_avatar("anerf_scene", output=folder / "avatar", motion=motion, poses=6, novel_poses=1, cameras=4,
                   novel_cameras=[3], **clips)  # fmt: skip


def overrides(run: FullRun, folder: Path) -> list[str]:
    """Of train.py, for the small step."""
    data = {"demo": "demo", "mesh": "smpl_poses", "avatar": "anerf_scene"}[run.store]
    inputs = [f"model={run.model}", f"data={data}", f"data.name={run.store}", f"paths.stores={folder}"]
    if run.store == "mesh":
        inputs += ["data.identities=[average]", "data.test_share=0.2", "data.val_share=0.2"]
    return [
        *inputs,
        *run.small,
        *(f"{key}={folder / f'{model}.ckpt'}" for key, model in run.starts_from.items()),
    ]


def measure(run: FullRun, folder: Path) -> Step:
    """The small step of a run; its checkpoint is left in `folder`."""
    return train_steps(
        overrides(run, folder), folder / f"{run.model}.ckpt", run.units, run.frozen, run.cached
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costs", description=__doc__)
    parser.add_argument("models", nargs="*", help="only these, printed (and those that they start from)")
    parser.add_argument(
        "--page", type=Path, default=Path("docs/costs.md"), help="written where all models are measured"
    )
    parser.add_argument(
        "--growth", type=Path, default=Path("docs/growth.md"), help="its table of many GPUs too"
    )
    parser.add_argument("--json", type=Path, help="also write what was measured")
    options = parser.parse_args()
    from cli.build import quiet_lightning

    torch.set_num_threads(1)
    quiet_lightning()
    core_flops = max(matmul_speed() for _ in range(3))  # other work on the machine only makes it slower
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_stores(folder)
        costs = [Cost(run, measured(run, folder), core_flops) for run in RUNS if wanted(run, options.models)]
        if options.json:
            steps = {cost.run.name: asdict(cost.step) for cost in costs}
            write_json(options.json, {"core_flops": core_flops, "steps": steps})
        text = all_tables(costs, folder)
    if options.models:
        print(text)
        return
    write_between(options.page, "python -m benchmarks.costs", text)
    write_between(options.growth, "python -m benchmarks.costs", devices_table(costs))


def measured(run: FullRun, folder: Path) -> Step:
    """As `measure`, with a line on the terminal."""
    step = measure(run, folder)
    print(f"{run.name:<28}{json.dumps(asdict(step))}", flush=True)
    return step


def wanted(run: FullRun, models: list[str]) -> bool:
    """Whether a run, or one that starts from it, was asked for."""
    if not models or run.model in models:
        return True
    return any(run.model in other.starts_from.values() and wanted(other, models) for other in RUNS)


if __name__ == "__main__":
    main()
