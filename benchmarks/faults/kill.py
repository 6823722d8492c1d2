"""SIGKILL at random moments of training, preparing and predicting: the same command again ends as if nothing had been.

Every attempt starts anew, is killed at a moment drawn evenly from the time an undisturbed one takes, is looked at, and
is finished; one in three is killed a second time while it goes on.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from benchmarks.faults import forks, seeds
from benchmarks.faults.whole import difference, half_written

_VQVAE = "module.network={num_layers:[1,1],hidden:32,heads:2,num_books:4,num_codes:64,code_dim:32}"
_CLASSIFIER = "module.network={width:32,num_layers:1,heads:2,dropout:0.1}"
_SHARED = (
    *("data=amass", "data.name=tiny", "data.val_share=0.2", "data.test_share=0.2", "logger=csv"),
    *("trainer.max_epochs=2", "trainer.accelerator=cpu", "trainer.log_every_n_steps=1"),
    *("callbacks.media=null", "callbacks.resume.every_n_steps=2"),
    "callbacks.progress=null",  # logs how fast the steps were
)
TRAININGS: dict[str, tuple[str, ...]] = {
    "sage_upper_vqvae": ("data.batch_size=16", "data.repeats=6", _VQVAE),
    "posegpt_classifier": (
        *("data.batch_size=8", "data.steps_per_epoch=8", "data.window=32", "data.skeleton=smpl22"),
        *("module.exclusive=true", _CLASSIFIER),
    ),
}
PREPARATIONS = {
    "amass": ("data=amass", "data.name=made", "workers=1"),
    "npr_meshes": ("data=npr_meshes", "data.name=made"),
    "anerf_h5": ("data=anerf_h5", "data.name=made"),
}
PREDICTIONS = {
    "convert": ("task=convert", "task.formats=[npz,bvh,glb]"),
    "sage_track": ("task=sage_track", "task.formats=[npz,bvh,glb]"),
    "posegpt_sample": (
        "task=posegpt_sample",
        "action=walk",
        "frames=40",
        "count=2",
        "task.formats=[npz,glb]",
    ),
}


@dataclass
class Series:
    """What a series of kills came to.

    Args:
        kills: SIGKILLs that met a running process.
        moments: what was there when they came, counted.
        problems: what should not have been, in words.
        seconds: of processor time of an undisturbed run.
    """

    kills: int = 0
    moments: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Trouble:
    """Runs a command, kills it, and finishes it.

    Args:
        entry: `train`, `predict` or `prepare`.
        log: file of all that is printed.
        random: draws the moments.
    """

    def __init__(self, entry: str, log: Path, random: Random) -> None:
        self.entry, self.log, self.random, self.series = entry, log, random, Series()

    def whole(self, arguments: Sequence[str]) -> None:
        """An undisturbed run, twice: the first one fills caches."""
        for _ in range(2):
            self.series.seconds = self.finish(arguments)

    def finish(self, arguments: Sequence[str], again: Sequence[str] | None = None) -> float:
        """Run to the end; where that is refused, as there is nothing to go on from, with other arguments."""
        status, seconds = forks.wait(forks.start(self.entry, arguments, self.log))
        if status == 2 and again is not None:
            status, seconds = forks.wait(forks.start(self.entry, again, self.log))
        if status != 0:
            self.series.problems.append(f"{' '.join(arguments)} ended with status {status}, see {self.log}")
        return seconds

    def disturb(self, arguments: Sequence[str]) -> bool:
        """Start, and kill at a random moment; tells whether the kill met a running process."""
        process = forks.start(self.entry, arguments, self.log)
        met = forks.kill_after(process, self.random.random() * self.series.seconds)
        self.series.kills += met
        left = forks.survivors(process)
        if left:
            self.series.problems.append(f"processes outlived their parent: {', '.join(left)}")
        return met

    def disturb_child(self, arguments: Sequence[str]) -> bool:
        """Start, and kill a child of it at a random moment; tells whether there was one, and training noticed."""
        process = forks.start(self.entry, arguments, self.log)
        met = forks.kill_child_after(process, self.random.random() * self.series.seconds)
        status, _ = forks.wait(process)
        if status not in (0, 2):
            self.series.problems.append(f"a killed child made status {status}, see {self.log}")
        self.series.kills += met and status == 2
        return met and status == 2


def train(times: int, random: Random, place: Path) -> dict[str, Series]:
    """Kill trainings; the resumed ones end with the same weights, losses and metrics."""
    stores, results, share = place / "stores", {}, times / len(TRAININGS)
    _make_store(stores)
    for model, options in TRAININGS.items():
        trouble = Trouble("train", place / f"{model}.log", random)
        command = [f"model={model}", *_SHARED, *options, f"paths.stores={stores}"]
        trouble.whole([*command, f"paths.runs={place / 'whole'}"])
        (expected, _) = sorted((place / "whole" / model).iterdir())
        while trouble.series.kills < share and len(trouble.series.problems) < 20:
            _disturbed_training(trouble, command, model, expected, place / "cut")
        results[model] = trouble.series
    return results


def workers(times: int, random: Random, place: Path) -> dict[str, Series]:
    """Kill one of two processes that read batches: training ends with one clear error and can be resumed."""
    stores, model = place / "stores", "sage_upper_vqvae"
    _make_store(stores)
    trouble = Trouble("train", place / "workers.log", random)
    reading = ("data.num_workers=2", f"paths.stores={stores}")
    command = [f"model={model}", *_SHARED, *TRAININGS[model], *reading]
    trouble.whole([*command, f"paths.runs={place / 'whole'}"])
    (expected, _) = sorted((place / "whole" / model).iterdir())
    while trouble.series.kills < times and len(trouble.series.problems) < 20:
        _disturbed_training(trouble, command, model, expected, place / "cut", child=True)
    return {"readers of batches": trouble.series}


def _disturbed_training(
    trouble: Trouble, command: Sequence[str], model: str, expected: Path, runs: Path, child: bool = False
) -> None:
    shutil.rmtree(runs, ignore_errors=True)
    here = [*command, f"paths.runs={runs}"]
    if not (trouble.disturb_child(here) if child else trouble.disturb(here)):
        return
    _look(trouble, runs, _training_moment)
    done = bool(list(runs.glob("*/*/result.json")))
    if not (done or child) and trouble.random.random() < 1 / 3 and trouble.disturb([*here, "resume=true"]):
        _look(trouble, runs, _training_moment)
    if not list(runs.glob("*/*/result.json")):
        trouble.finish([*here, "resume=true"], again=here)
    finished = [run for run in (runs / model).iterdir() if (run / "result.json").is_file()]
    if len(finished) != 1:
        trouble.series.problems.append(f"{len(finished)} finished runs")
        return
    ignore = ("config.yaml", "curves.png", "metrics.csv", "previous.ckpt", "provenance.json")
    trouble.series.problems += [f"{model}: {line}" for line in difference(expected, finished[0], ignore)]
    trouble.series.problems += _other_losses(expected / "metrics.csv", finished[0] / "metrics.csv", trouble)


def _other_losses(whole: Path, resumed: Path, trouble: Trouble) -> list[str]:
    """Rows that are not those of the whole run; those that a kill kept from following their checkpoint are counted."""
    expected, results = (path.read_text().splitlines() for path in (whole, resumed))
    if results == expected:
        return []
    if len(expected) - len(results) <= 2 and set(results) < set(expected):
        trouble.series.moments["a kill between a checkpoint and the row of its step in metrics.csv"] += 1
        return []
    return [
        f"metrics.csv has {len(set(results) - set(expected))} other rows and lacks {len(set(expected) - set(results))}"
    ]


def _training_moment(runs: Path) -> str:
    run = next(iter(sorted(runs.glob("*/*/"))), None)
    if run is None or not (run / "config.yaml").is_file():
        return "before the run had a configuration"
    if (run / "result.json").is_file():
        return "after the result"
    if not (run / "checkpoints" / "last.ckpt").is_file():
        return "before the first checkpoint"
    return "while a file was written" if list(run.rglob(".*.partial*")) else "between checkpoints"


def prepare(times: int, random: Random, place: Path) -> dict[str, Series]:
    """Kill preparations; the same command again ends with the same store, to the byte."""
    results, share = {}, times / len(PREPARATIONS)
    raw = {"amass": place / "raw", "npr_meshes": place / "meshes", "anerf_h5": place / "scene.h5"}
    _make_raw(raw["amass"], 40)
    _make_meshes(raw["npr_meshes"])
    seeds.h5(place)
    for kind, options in PREPARATIONS.items():
        trouble = Trouble("prepare", place / f"{kind}.log", random)
        command = [*options, f"raw={raw[kind]}"]
        trouble.whole([*command, f"paths.stores={place / 'whole' / kind}", "force=true"])
        while trouble.series.kills < share and len(trouble.series.problems) < 20:
            stores = place / "cut"
            shutil.rmtree(stores, ignore_errors=True)
            here = [*command, f"paths.stores={stores}"]
            for _ in range(random.choice((1, 1, 2))):
                if trouble.disturb(here):
                    _look(trouble, stores, _store_moment)
            trouble.finish(here)
            trouble.series.problems += [f"{kind}: {x}" for x in difference(place / "whole" / kind, stores)]
        results[kind] = trouble.series
    return results


def _store_moment(stores: Path) -> str:
    if (stores / "made" / "manifest.json").is_file():
        return "when the store was there"
    work = [
        path for path in stores.glob("*") if path.name.endswith(".partial") or path.name.startswith(".made.")
    ]
    return "while it was made" if work else "before anything was written"


def predict(times: int, random: Random, place: Path) -> dict[str, Series]:
    """Kill predictions; what is there is whole and right, and the same command again gives the rest."""
    from contrapposto.io import write_motion
    from contrapposto.synthetic import generate

    source, results, share = place / "walk.npz", {}, times / len(PREDICTIONS)
    write_motion(source, generate("walk", seconds=1.0))
    for task, options in PREDICTIONS.items():
        trouble = Trouble("predict", place / f"{task}.log", random)
        command = [
            *options,
            *([] if task == "posegpt_sample" else [f"input={source}"]),
            f"paths.runs={place / 'none'}",
        ]
        trouble.whole([*command, f"output={place / 'whole' / task}"])
        while trouble.series.kills < share and len(trouble.series.problems) < 20:
            output = place / "cut" / "out"
            shutil.rmtree(output.parent, ignore_errors=True)
            here = [*command, f"output={output}"]
            if not trouble.disturb(here):
                continue
            _look(trouble, output.parent, _result_moment)
            wrong = [
                line for line in difference(place / "whole" / task, output) if "only in the first" not in line
            ]
            trouble.series.problems += [f"{task}, at the kill: {line}" for line in wrong]
            trouble.finish(here)
            trouble.series.problems += [f"{task}: {x}" for x in difference(place / "whole" / task, output)]
        results[task] = trouble.series
    return results


def _result_moment(place: Path) -> str:
    output = place / "out"
    if not output.is_dir():
        return "before anything was written"
    if list(output.glob(".*.partial*")):
        return "while a file was written"
    return f"with {sum(file.is_file() for file in output.iterdir())} results written"


def _look(trouble: Trouble, folder: Path, moment: Callable[[Path], str]) -> None:
    trouble.series.moments[moment(folder)] += 1
    trouble.series.problems += (
        [f"half-written {line}" for line in half_written(folder)] if folder.is_dir() else []
    )


def _make_raw(raw: Path, count: int) -> None:
    from contrapposto.io import write_motion
    from contrapposto.synthetic import generate

    actions = ("walk", "run", "squat", "wave both hands")
    for number in range(count):
        motion = generate(actions[number % 4], seconds=2 + number % 2, seed=number)
        write_motion(raw / f"{actions[number % 4].replace(' ', '_')}_{number}.npz", motion)


def _make_meshes(folder: Path) -> None:
    from contrapposto.mesh.files import write_mesh
    from contrapposto.mesh.remesh import subdivide

    mesh = seeds.tetrahedron()
    for _ in range(4):
        mesh = subdivide(mesh)
    write_mesh(folder / "template.ply", mesh)
    for number in range(40):
        write_mesh(folder / f"pose_{number:02d}.ply", mesh.moved(mesh.vertices * (1 + number / 40)))


def _make_store(stores: Path) -> None:
    from contrapposto.data.prepare import prepare as prepare_store

    with tempfile.TemporaryDirectory() as raw:
        _make_raw(Path(raw), 24)
        prepare_store("amass", raw=raw, output=stores / "tiny", workers=1)


def main(options: dict[str, str]) -> int:
    """`what=train,prepare,predict,workers times=50 seed=0 only=NAME`; kills are shared out among the kinds of each."""
    names = options.get("what", "train,prepare,predict,workers").split(",")
    kinds: dict[str, Callable[[int, Random, Path], dict[str, Series]]] = {
        "train": train, "prepare": prepare, "predict": predict, "workers": workers,
    }  # fmt: skip
    if set(names) - set(kinds):
        print(f"what={','.join(names)}: there are {', '.join(kinds)}", file=sys.stderr)
        return 2
    if "only" in options:
        for table in (TRAININGS, PREPARATIONS, PREDICTIONS):
            for key in [key for key in table if key not in options["only"].split(",")]:
                del table[key]
    forks.warm()
    failed = 0
    for name in names:
        place = Path(tempfile.mkdtemp(prefix=f"kill_{name}_"))
        os.chdir(place)
        results = kinds[name](int(options.get("times", "50")), Random(int(options.get("seed", "0"))), place)
        for what, series in results.items():
            failed += len(series.problems)
            undisturbed = f"undisturbed {series.seconds:.1f} s of processor time"
            print(
                f"{name} {what}: {series.kills} kills, {len(series.problems)} problems, {undisturbed}",
                flush=True,
            )
            for moment, count in series.moments.most_common():
                print(f"    {count:>3} x {moment}")
            for problem in series.problems[:20]:
                print(f"    PROBLEM {problem}")
        if not failed:
            shutil.rmtree(place)
    return int(failed > 0)
