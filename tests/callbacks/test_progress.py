"""ProgressLine: plain lines in a file, one rewritten line on a terminal, throughput in the log."""

from __future__ import annotations

import io
import re
import time

import pytest
import torch

from callbacks import BestCheckpoint, ProgressLine
from callbacks.progress import batch_size, duration
from loggers import CSVRunLogger
from tests.callbacks.tiny import Data, Tiny, trainer


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(tmp_path, stream, **options):
    callbacks = [ProgressLine(0.0, stream), BestCheckpoint(tmp_path / "checkpoints")]
    fit = trainer(callbacks, [CSVRunLogger(tmp_path)], max_epochs=2, **options)
    fit.fit(Tiny(), datamodule=Data())
    return stream.getvalue()


def test_plain_lines(tmp_path):
    text = run(tmp_path, io.StringIO())
    lines = text.splitlines()
    assert "\r" not in text and "\x1b" not in text
    line = next(line for line in lines if line.startswith("step 9/12"))
    assert re.fullmatch(
        r"step 9/12 \(75%\)  epoch 2  loss [\d.e+-]+  best val/loss [\d.e+-]+"
        r"  [\d.e+]+ steps/s  [\d.e+]+ samples/s  \d+ s left",
        line,
    )
    assert sum("val/loss" in line and "steps/s" not in line for line in lines) == 2
    assert lines[-1].startswith("trained 12 steps in")


def test_terminal_rewrites_its_line(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    text = run(tmp_path, Terminal())
    assert text.count("\n") == 3  # two validations and the end stay
    for part in text.split("\r"):
        assert len(part.replace("\x1b[K", "").rstrip("\n")) <= 59


def test_throughput_is_logged(tmp_path):
    run(tmp_path, io.StringIO())
    header = (tmp_path / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"time/steps_per_s", "time/samples_per_s", "time/outside_step_share"} <= set(header)


def test_quiet_between_lines(tmp_path):
    stream = io.StringIO()
    trainer([ProgressLine(1000.0, stream)], max_epochs=1).fit(Tiny(), datamodule=Data())
    assert stream.getvalue().splitlines() == [stream.getvalue().strip()]  # the last line only


def test_time_left_is_that_of_the_remaining_steps():
    class Slow(Tiny):
        def training_step(self, batch, batch_idx):
            time.sleep(0.2)
            return super().training_step(batch, batch_idx)

    stream = io.StringIO()
    trainer([ProgressLine(0.0, stream)], max_epochs=1).fit(Slow(), datamodule=Data(batches=12))
    line = next(line for line in stream.getvalue().splitlines() if line.startswith("step 2/12"))
    assert 2 <= int(re.search(r"(\d+) s left", line)[1]) <= 6  # 10 steps of 0.2 s, and a slow machine
    assert 2 <= float(re.search(r"([\d.]+) steps/s", line)[1]) <= 5


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (60, "1 min 0 s"),
        (725, "12 min 5 s"),
        (12000, "3 h 20 min"),
        (187200, "2 d 4 h"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_batch_size():
    assert batch_size(torch.zeros(7, 2)) == 7
    assert batch_size({"step": torch.tensor(3), "x": [torch.zeros(5)]}) == 5
    assert batch_size(["a", 1]) == 0
