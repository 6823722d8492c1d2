"""Everything that can be checked in some minutes: python -m cli.verify [output=verify.json] [stores=stores]

Shipped models, golden cases, a training step of every model whose data and earlier stages are there, and the figures of
the shipped models' cards.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli.compose import ROOT, compose_config, groups
from contrapposto.errors import ContrappostoError
from contrapposto.verify import Check, check_models, published_folders, summary, timed, write

TOLERANCE = 0.02  # of a card's figures: half precision, other machines


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


def one_step(model: str, stores: str, runs: str) -> Check:
    """A trial training of one batch; skipped where data or earlier stages are missing."""
    from cli.plan import requirements
    from cli.train import train

    options = [f"model={model}", "trainer.fast_dev_run=true", "trainer.accelerator=cpu", "logger=csv"]
    config = compose_config("train", [*options, f"paths.stores={stores}", f"paths.runs={runs}"])
    name = f"one step of {model}"
    if not config.get("trained", True):
        return Check(name, None, "nothing to train")
    try:
        missing = requirements(config)
    except ContrappostoError as error:
        return Check(name, None, error.what)
    if missing:
        return Check(name, None, f"needs {', '.join(step.name for step in missing)}")

    def work() -> str:
        train(config)
        return ""

    return timed(name, work)


def card(folder: Path, stores: str, runs: str) -> Check:
    """The figure of a shipped model's card, measured again on the same data."""
    from cli.evaluate import evaluate

    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    name = f"card of {result['model']}"
    manifest = Path(stores) / result["data"]["name"] / "manifest.json"
    if result["score"] is None or not manifest.is_file():
        return Check(
            name, None, f"no store {manifest.parent}; python prepare.py data={result['data']['name']}"
        )

    def work() -> str:
        content = json.loads(manifest.read_text(encoding="utf-8")).get("content_hash")
        expected = result["data"].get("content_hash")
        if content != expected:
            raise AssertionError(f"the store has the hash {content}, the card {expected}")
        options = [
            f"ckpt={folder}",
            "stage=val",
            "logger=csv",
            "callbacks.media=null",
            "trainer.accelerator=cpu",
        ]
        output = evaluate(
            compose_config("evaluate", [*options, f"paths.stores={stores}", f"paths.runs={runs}"])
        )
        metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))["val"]["metrics"]
        value = metrics[result["monitor"]]
        if abs(value - result["score"]) > TOLERANCE * abs(result["score"]):
            raise AssertionError(f"{result['monitor']} is {value:.4g}, the card states {result['score']:.4g}")
        return f"{result['monitor']} {value:.4g}"

    return timed(name, work)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all checks, print them, write JSON; returns 1 where one fails."""
    words = sys.argv[1:] if arguments is None else arguments
    options: dict[str, Any] = dict(argument.partition("=")[::2] for argument in words)
    stores = options.get("stores", "stores")
    os.environ.setdefault("WANDB_MODE", "offline")
    checks = check_models()
    with tempfile.TemporaryDirectory() as runs:
        checks += [card(folder, stores, runs) for folder in published_folders()]
        checks += [one_step(model, stores, runs) for model in groups()["model"]]
    if options.get("golden", "true") == "true":
        checks.append(timed("golden cases", golden_cases))
    print(summary(checks))
    write(options.get("output", "verify.json"), checks, python=platform.python_version())
    return int(any(check.ok is False for check in checks))


if __name__ == "__main__":
    sys.exit(main())
