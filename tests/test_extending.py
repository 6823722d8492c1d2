"""A package of somebody else adds a task, a model and its data without touching this project."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from contrapposto.errors import ConfigError
from contrapposto.tasks.predict import compose, predict, task_names

ROOT = Path(__file__).parents[1]
TASK = '''
from pathlib import Path


class CountLines:
    """Counts the lines of a text file."""

    def __init__(self, times: int = 1) -> None:
        self.times = times

    def __call__(self, config, source, output):
        output.mkdir(parents=True, exist_ok=True)
        path = output / "count.txt"
        path.write_text(str(self.times * len(source.read_text().splitlines())))
        return [path]
'''
MODEL = """
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset


class LineData(pl.LightningDataModule):
    def __init__(self, count: int = 32) -> None:
        super().__init__()
        x = torch.linspace(-1, 1, count)[:, None]
        self.items = TensorDataset(x, 3 * x)

    def train_dataloader(self):
        return DataLoader(self.items, batch_size=8)

    val_dataloader = test_dataloader = train_dataloader


class Line(pl.LightningModule):
    def __init__(self, rate: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(1, 1)

    def loss(self, batch, name):
        value = (self.layer(batch[0]) - batch[1]).square().mean()
        self.log(f"{name}/loss", value)
        return value

    def training_step(self, batch, batch_idx):
        return self.loss(batch, "train")

    def validation_step(self, batch, batch_idx):
        self.loss(batch, "val")

    def test_step(self, batch, batch_idx):
        self.loss(batch, "test")

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), self.hparams.rate)
"""


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A package on the path with an entry point, as pip would have installed it."""
    folder = tmp_path / "site"
    for name, text in {
        "stranger/__init__.py": "",
        "stranger/tasks.py": TASK,
        "stranger/models.py": MODEL,
        "stranger-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n",
        "stranger-1.0.dist-info/entry_points.txt": "[contrapposto.tasks]\ncount_lines = stranger.tasks:CountLines\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.mark.parametrize("option", ["task=count_lines", "+task._target_=stranger.tasks.CountLines"])
def test_a_task_of_another_package(stranger, tmp_path, option):
    source = tmp_path / "three.txt"
    source.write_text("a\nb\nc\n")
    arguments = [option, f"input={source}", f"output={tmp_path / 'out'}"]
    if option.startswith("task"):
        assert "count_lines" in task_names()
    (path,) = predict(compose([*arguments, "task.times=2"]))
    assert path.read_text() == "6"
    with pytest.raises(ConfigError, match="whole number"):
        predict(compose([*arguments, "task.times=often"]))
    with pytest.raises(ConfigError, match="no option task\\.tims"):
        predict(compose([*arguments, "task.tims=2"]))


@pytest.mark.slow
def test_a_model_and_its_data_of_another_package(stranger, tmp_path):
    command = [
        *(sys.executable, ROOT / "train.py", "name=line", "+module._target_=stranger.models.Line"),
        *("+module.rate=0.3", "+datamodule._target_=stranger.models.LineData", "trainer.max_epochs=30"),
        *(
            "+data.name=lines",
            "logger=csv",
            f"paths.runs={tmp_path / 'runs'}",
            "trainer.accelerator=cpu",
            "callbacks.best.monitor=val/loss",
        ),
    ]
    environment = {
        "PYTHONPATH": str(stranger),
        "PATH": "/usr/bin:/bin",
        "OMP_NUM_THREADS": "1",
        "HOME": str(tmp_path),
    }
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (result,) = (tmp_path / "runs" / "line").glob("*/result.json")
    assert json.loads(result.read_text())["score"] < 0.05
