"""The dashboard: its document, its workspace, and a real training whose files hold all that it names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from loggers.dashboard import DASHBOARD, DOCS, main, markdown, with_panels, workspace
from tests.loggers.wandb_files import OfflineRun, read_offline_runs

ROOT = Path(__file__).parents[2]


def keys(kind: str | None = None) -> set[str]:
    panels = [panel for section in DASHBOARD for panel in section.panels]
    return {key for panel in panels if kind in (None, panel.kind) for key in panel.keys}


def test_document_lists_the_panels():
    text = DOCS.read_text(encoding="utf-8")
    assert with_panels(text) == text, "python -m loggers.dashboard --write-docs"
    assert all(f"`{key}`" in text for key in keys())


def test_workspace_is_built_without_network(monkeypatch):
    import socket

    def refuse(*_):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    built = workspace("somebody", "a project")
    assert [section.name for section in built.sections] == [section.title for section in DASHBOARD]
    for section, ours in zip(built.sections, DASHBOARD):
        assert len(section.panels) == len(ours.panels)
    specification = built._to_model().model_dump_json(by_alias=True)  # what .save() would send
    assert all(key in specification for key in keys())
    places = [(p.layout.x, p.layout.y) for p in built.sections[0].panels]
    assert len(set(places)) == len(places)


def test_command_line(capsys):
    assert main(["--markdown"]) == 0
    assert capsys.readouterr().out.strip() == markdown().strip()
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2 and "--entity" in capsys.readouterr().err


OPTIONS = [
    "model=sage_upper_vqvae",
    "data=amass",
    "data.name=tiny",
    "data.batch_size=16",
    "data.val_share=0.2",
    "data.test_share=0.2",
    "data.repeats=4",
    "module.network.num_layers=[1,1]",
    "module.network.hidden=32",
    "module.network.heads=2",
    "module.network.num_books=4",
    "module.network.num_codes=64",
    "module.network.code_dim=32",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=1",
    "trainer.log_every_n_steps=1",
    "callbacks.media.seconds=0.3",
    "callbacks.media.size=[96,96]",
    "logger=wandb",
]


def entry_point(name: str, *arguments: str) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
    result = subprocess.run(
        [sys.executable, str(ROOT / f"{name}.py"), *OPTIONS, *arguments],
        capture_output=True,
        text=True,
        env={**environment, "OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-3000:]


@pytest.mark.slow
def test_a_real_training_holds_what_the_dashboard_names(stores, tmp_path):
    entry_point("train", f"paths.stores={stores}", f"paths.runs={tmp_path}")
    entry_point("evaluate", f"paths.stores={stores}", f"paths.runs={tmp_path}")
    (folder,) = (tmp_path / "sage_upper_vqvae").glob("*/")
    (training,) = read_offline_runs(folder)
    (evaluation,) = read_offline_runs(next((folder / "evaluation").iterdir()))
    testing = {key for key in keys() if key.startswith(("test/", "media_test/"))}
    assert testing <= evaluation.keys, testing - evaluation.keys
    assert keys() - testing <= training.keys, keys() - testing - training.keys
    for key in keys("media") | keys("table"):
        check_file(evaluation if key in testing else training, key)
    assert training.config["module"]["network"]["hidden"] == 32 and training.config["seed"] == 10
    for path in ("metrics.csv", "metrics.json", "provenance.json", "media/clips_val.csv"):
        assert (folder / path).is_file()


def check_file(run: OfflineRun, key: str) -> None:
    """A table, video or histogram is really there."""
    value = run.values(key)[-1]
    if value["_type"] == "histogram":
        assert sum(value["values"]) > 0
        return
    path = run.file(value)
    if value["_type"] == "table-file":
        content = json.loads(path.read_text())
        assert {"clip", "frames", "mpjpe"} <= set(content["columns"]) and content["data"]
    else:
        assert value["_type"] == "video-file" and path.read_bytes()[4:8] == b"ftyp"
