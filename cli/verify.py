"""Everything that can be checked in five minutes: contrapposto verify [output=verify.json] [stores=stores]

Shipped models, the figures of their cards, one training step of every model, and the golden cases. The data that the
project makes itself are prepared anew; cards of other data are checked where a folder of `stores` holds them.
`cards=update` writes figures that were measured now into cards whose data have changed since.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cli.compose import ROOT, compose_config, groups
from cli.plan import requirements, stage_links
from cli.prepare import prepare
from cli.train import train
from contrapposto.errors import ContrappostoError
from contrapposto.files import sha256, write_json
from contrapposto.publish import CARD, INDEX
from contrapposto.verify import Check, check_models, published_folders, summary, timed, write

TOLERANCE = 0.02  # of a card's figures: half precision, other machines
RECIPES = ("demo", "anerf_scene", "smpl_poses")
"""Data of the models' default options: made in a minute, from nothing but the project."""
ONE_STEP = (
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=1",
    "trainer.limit_val_batches=1",
    "trainer.num_sanity_val_steps=0",
    "trainer.accelerator=cpu",
    "callbacks.media=null",
    "callbacks.progress=null",
    "logger=csv",
    "requires=fail",
)


FEW = {
    "data.batch_size": 4,
    "data.cache_windows": 16,
    "data.max_val_frames": 40,
    "data.max_val_images": 1,
    "data.max_val_items": 8,
    "data.max_val_poses": 2,
    "data.rays.images_per_step": 8,
    "data.rays.rays_per_step": 96,
    "data.sequence": 30,
    "data.val_share": 0.7,
    "module.network.components": 8,
    "module.render_factor": 16,
}
"""Options by which a step with its validation takes seconds, set where a model has them; networks keep their sizes."""

_ABSENT = object()


def golden_cases() -> str:
    """The parity tests.

    Raises:
        AssertionError: one fails.
    """
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", "tests/parity"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = result.stdout.strip().splitlines()[-1] if result.stdout.strip() else result.stderr[-300:]
    if result.returncode:
        raise AssertionError(last)
    return last


def training_steps(stores: str, runs: str, models: Sequence[str]) -> list[Check]:
    """One training step of every model, with a checkpoint that the stages after it start from.

    Args:
        stores: that hold the data.
        runs: where the trainings go; earlier stages are looked for there.
        models: to train, in any order.
    """
    checks, waiting = [], list(models)
    while waiting:
        ready = [
            model
            for model in waiting
            if not set(waiting) & set(stage_links(_small(model, stores, runs)).values())
        ]
        checks += [one_step(model, stores, runs) for model in ready]
        waiting = [model for model in waiting if model not in ready]
    return checks


def one_step(model: str, stores: str, runs: str) -> Check:
    """Train a model for one step and validate it; skipped where its data or earlier stages are missing."""
    name = f"one step of {model}"
    config = _small(model, stores, runs)
    if not config.get("trained", True):
        return Check(name, None, "nothing to train")
    try:
        missing = requirements(config)
    except ContrappostoError as error:
        return Check(name, None, f"{error.what} {error.fix or ''}")
    if missing:
        return Check(name, None, f"needs {', '.join(step.name for step in missing)}")

    def work() -> str:
        train(config)
        return ""

    return timed(name, work)


def _small(model: str, stores: str, runs: str) -> DictConfig:
    options = [f"model={model}", *ONE_STEP, f"paths.stores={stores}", f"paths.runs={runs}"]
    config = compose_config("train", options)
    for option, value in FEW.items():
        if OmegaConf.select(config, option, default=_ABSENT) is not _ABSENT:
            OmegaConf.update(config, option, value)
    return config


@contextmanager
def complete_stores(stores: str) -> Iterator[str]:
    """A folder with the stores that are there, and those of the project's own recipes as they are prepared today."""
    with tempfile.TemporaryDirectory() as name:
        for store in sorted(Path(stores).glob("*/manifest.json")):
            if store.parent.name not in RECIPES:
                Path(name, store.parent.name).symlink_to(store.parent.resolve(), target_is_directory=True)
        for recipe in RECIPES:
            prepare(compose_config("prepare", [f"data={recipe}", f"paths.stores={name}"]))
        yield name


def card(folder: Path, stores: str, runs: str) -> Check:
    """The figure of a shipped model's card, measured again on the same data."""
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    name = f"card of {result['model']}"
    manifest = Path(stores) / result["data"]["name"] / "manifest.json"
    if result["score"] is None or not manifest.is_file():
        return Check(
            name, None, f"no store {manifest.parent}; python prepare.py data={result['data']['name']}"
        )

    def work() -> str:
        expected, score = stated(result)
        content = store_hash(manifest.parent)
        # images of our own recipes may differ in a bit from machine to machine: there the figure decides
        if content != expected and manifest.parent.name not in RECIPES:
            raise AssertionError(f"the store has the hash {content}, the card {expected}")
        value = measure(folder, stores, runs)[result["monitor"]]
        if abs(value - score) > TOLERANCE * abs(score):
            raise AssertionError(f"{result['monitor']} is {value:.4g}, the card states {score:.4g}")
        return f"{result['monitor']} {value:.4g}"

    return timed(name, work)


def store_hash(folder: Path) -> str:
    """The content hash of a store of motion, meshes or an avatar's images."""
    from contrapposto.data import MotionStore
    from contrapposto.systems.anerf.data import AvatarScene
    from contrapposto.systems.npr.data.mesh_store import MeshStore

    entries = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    opened: Any = MotionStore if "clips" in entries else MeshStore if "identities" in entries else AvatarScene
    return str(opened.open(folder).content_hash)


def stated(result: dict[str, Any]) -> tuple[str | None, float]:
    """Hash of the data that a card's figures were measured on, and the monitored figure, from a result.json."""
    measured = result.get("measured")
    if measured:
        return measured["content_hash"], measured["score"]
    return result["data"].get("content_hash"), result["score"]


def measure(folder: Path, stores: str, runs: str) -> dict[str, float]:
    """Validation metrics of a shipped model."""
    from cli.evaluate import evaluate

    options = [f"ckpt={folder}", "stage=val", "logger=csv", "callbacks.media=null", "trainer.accelerator=cpu"]
    options += [f"paths.stores={stores}", f"paths.runs={runs}"]
    output = evaluate(compose_config("evaluate", options))
    metrics: dict[str, float] = json.loads((output / "metrics.json").read_text(encoding="utf-8"))["val"][
        "metrics"
    ]
    return metrics


def update_card(folder: Path, stores: str, runs: str) -> bool:
    """Put figures of today's store into a card whose data have changed since; returns whether there was need."""
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    manifest = Path(stores) / result["data"]["name"] / "manifest.json"
    if result["score"] is None or not manifest.is_file():
        return False
    content = store_hash(manifest.parent)
    if content == stated(result)[0]:
        return False
    metrics = measure(folder, stores, runs)
    result["measured"] = {"content_hash": content, "score": metrics[result["monitor"]]}
    card_file = next(folder / name for name in (CARD, "card.md") if (folder / name).is_file())
    text = card_file.read_text(encoding="utf-8")
    begin = text.index("Validation, at the best step")
    end = text.index("**Limits.**")
    rows = "\n".join(f"| {name} | {value:.4g} |" for name, value in sorted(metrics.items()))
    figures = (
        f"Validation, measured on the store of today (content hash {content[:12]}). The model was trained on an earlier "
        f"version (hash {str(result['data'].get('content_hash'))[:12]}), where {result['monitor']} was {result['score']:.4g}:"
        f"\n\n| metric | value |\n|---|---|\n{rows}\n\n"
    )
    card_file.write_text(text[:begin] + figures + text[end:], encoding="utf-8")
    write_json(folder / "result.json", result)
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    write_json(folder / INDEX, {name: sha256(folder / name) for name in index})
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all checks, print them, write JSON; returns 1 where one fails."""
    words = sys.argv[1:] if arguments is None else arguments
    options: dict[str, Any] = dict(argument.partition("=")[::2] for argument in words)
    os.environ.setdefault("WANDB_MODE", "offline")
    checks = [] if options.get("cards") == "update" else check_models()
    with complete_stores(options.get("stores", "stores")) as stores, tempfile.TemporaryDirectory() as runs:
        if options.get("cards") == "update":
            updated = [folder for folder in published_folders() if update_card(folder, stores, runs)]
            print(*(f"measured again: {folder}" for folder in updated), sep="\n")
            return 0
        checks += [card(folder, stores, runs) for folder in published_folders()]
        checks += training_steps(stores, runs, groups()["model"])
    if options.get("golden", "true") == "true":
        checks.append(timed("golden cases", golden_cases))
    print(summary(checks))
    write(options.get("output", "verify.json"), checks, python=platform.python_version())
    return int(any(check.ok is False for check in checks))


if __name__ == "__main__":
    sys.exit(main())
