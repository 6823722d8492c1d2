"""metrics.csv and wandb: what is written, when wandb goes online, what stays private."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from torchmetrics import MeanMetric

from callbacks import (
    BestCheckpoint,
    MediaCallback,
    MetricsCallback,
)
from contrapposto.errors import InputError
from loggers import CSVRunLogger, build_loggers, finish_loggers
from loggers import build as module
from tests.callbacks.tiny import Data, Tiny, trainer
from tests.loggers.wandb_files import read_offline_runs

ROOT = Path(__file__).parents[2]
PICTURE = np.tile(np.arange(0, 240, 30, dtype=np.uint8)[:, None, None], (1, 8, 3))


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def no_wandb_variables(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("WANDB")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)


def test_csv_columns_grow_and_values_survive(tmp_path):
    logger = CSVRunLogger(tmp_path)
    logger.log_metrics({"a": 0.1, "b, c": 2}, 0)
    logger.log_metrics({"d": np.float64(1e-300)}, 1)
    logger.log_metrics({"a": float("nan")}, 1)
    again = CSVRunLogger(tmp_path)  # as a resumed process would
    again.log_metrics({"e": 5}, 2)
    content = rows(tmp_path / "metrics.csv")
    assert list(content[0]) == ["step", "a", "b, c", "d", "e"]
    assert [row["step"] for row in content] == ["0", "1", "1", "2"]
    assert float(content[0]["a"]) == 0.1 and float(content[1]["d"]) == 1e-300 and content[2]["a"] == "nan"


def test_csv_rows_are_dropped_from_a_step(tmp_path):
    logger = CSVRunLogger(tmp_path)
    for step in range(6):
        logger.log_metrics({"a": step}, step)
    with open(tmp_path / "metrics.csv", "a") as file:
        file.write("6")  # a process killed in mid-row
    CSVRunLogger(tmp_path).drop_rows_from(4)
    assert [row["step"] for row in rows(tmp_path / "metrics.csv")] == ["0", "1", "2", "3"]


def test_csv_on_a_full_disk(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    logger = CSVRunLogger(tmp_path)
    logger.log_metrics({"a": 1}, 0)
    logger.path = Path("/dev/full")
    with pytest.raises(InputError, match="disk is full"):
        logger.log_metrics({"a": 2}, 1)


@pytest.mark.parametrize(
    ("mode", "key", "online"),
    [
        (None, False, False),
        (None, True, True),
        ("online", True, True),
        ("offline", True, False),
        ("disabled", True, False),
        ("dryrun", True, False),
    ],
)
def test_who_may_go_online(no_wandb_variables, monkeypatch, mode, key, online):
    if mode:
        monkeypatch.setenv("WANDB_MODE", mode)
    if key:
        monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert module.may_go_online() is online


def test_login_is_found_in_netrc(no_wandb_variables, monkeypatch, tmp_path):
    assert not module._logged_in()
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password " + "x" * 40 + "\n")
    assert module._logged_in()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert not module._logged_in()
    (tmp_path / "netrc").write_text("machine {{{")
    assert not module._logged_in()


def test_csv_only(tmp_path, monkeypatch):
    assert len(build_loggers(tmp_path, wandb=False)) == 1
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert len(build_loggers(tmp_path)) == 1
    assert list(tmp_path.iterdir()) == []


def test_wandb_that_cannot_start_leaves_the_csv_file(tmp_path):
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "run-id.txt").write_text("not/an/id")
    with pytest.warns(UserWarning, match=r"metrics\.csv only"):
        assert len(build_loggers(tmp_path)) == 1


class Shows(Tiny):
    def media(self, stage, outputs, batch):
        return {"input frame": PICTURE, "codes": np.array([0, 0, 5])}


class Declared(Data):
    from_user_media = False


def logged_run(folder: Path, data: Data, model: Tiny | None = None, **options):
    OmegaConf.save(
        OmegaConf.create({"seed": 3, "data": {"name": "x", "size": "${seed}"}}), folder / "config.yaml"
    )
    metric = {"error": {"metric": MeanMetric(), "inputs": {"value": "error"}}}
    callbacks = [
        MetricsCallback(folder, metric),
        MediaCallback(folder),
        BestCheckpoint(folder / "checkpoints"),
    ]
    loggers = build_loggers(folder, **options)
    trainer(callbacks, loggers, max_epochs=1).fit(model or Shows(), datamodule=data)
    finish_loggers(loggers)
    (run,) = read_offline_runs(folder)
    return run


def test_offline_run_holds_metrics_tables_and_configuration(tmp_path, no_wandb_variables):
    folder = tmp_path / "model" / "time"
    folder.mkdir(parents=True)
    run = logged_run(folder, Declared())
    assert run.name == "model/time" and run.run_id == (folder / "wandb/run-id.txt").read_text().strip()
    assert {key: run.config[key] for key in run.config if not key.startswith("_")} == {
        "seed": 3,
        "data": {"name": "x", "size": 3},
    }
    assert run.values("val/error") == [2.0] and len(run.values("train/loss")) == 6
    assert all("trainer/global_step" in row for row in run.history)
    (table,) = run.values("val/clips")
    content = json.loads(run.file(table).read_text())
    assert content["columns"] == ["clip", "frames", "error"] and content["data"][1] == ["clip_01", 11, 1.0]
    for number, name in ((1, "input_frame"), (2, "input_frame_2")):
        (image,) = run.values(f"media_val/image_{number}")
        drawn = folder / f"media/val_step00000006_{name}.png"
        assert run.file(image).read_bytes() == drawn.read_bytes()
    (histogram,) = run.values("val/codes")
    assert histogram["values"] == [4, 0, 0, 0, 0, 2]  # two batches showed theirs
    assert set(run.machine) <= {"", "unnamed"}


@pytest.mark.parametrize("upload", [False, True])
def test_images_of_people_stay_out_unless_asked(tmp_path, upload):
    run = logged_run(tmp_path, Data(), media_upload=upload)
    assert ("media_val/image_1" in run.keys) is upload
    assert bool(list((tmp_path / "wandb").rglob("*.png"))) is upload
    assert (tmp_path / "media/val_step00000006_input_frame.png").exists()
    assert "val/codes" in run.keys


def test_a_resumed_run_keeps_its_id_and_goes_on_with_its_steps(tmp_path):
    for steps in ((0, 1, 2, 2), (3, 4)):
        loggers = build_loggers(tmp_path)
        for step in steps:
            loggers[1].log_metrics({"loss": 1.0 / (step + 1)}, step=step)
        finish_loggers(loggers)
    first, second = read_offline_runs(tmp_path)
    assert first.run_id == second.run_id
    assert [row["_step"] for row in first.history] == [0, 1, 2]
    assert [row["_step"] for row in second.history] == [3, 4]


SCRIPT = """
import sys
from pathlib import Path
from loggers import build_loggers, finish_loggers
loggers = build_loggers(sys.argv[1])
loggers[1].log_metrics({"a": 1.0}, step=0)
finish_loggers(loggers)
print("done")
"""


@pytest.mark.slow
def test_offline_touches_no_network_and_asks_nothing(tmp_path):
    """Logged in, but not asked: every connection would go through a proxy, which sees none."""
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy = f"http://127.0.0.1:{server.getsockname()[1]}"

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connections.append(connection.recv(200))
                connection.close()

        threading.Thread(target=accept, daemon=True).start()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
        environment |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), proxy)
        environment |= {"WANDB_API_KEY": "x" * 40, "PYTHONPATH": str(ROOT), "NO_PROXY": "", "no_proxy": ""}
        result = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tmp_path)],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert result.stdout.strip() == "done", result.stderr[-2000:]
    assert connections == []
    assert read_offline_runs(tmp_path)[0].values("a") == [1]
