"""Checkpoints: atomic, safe to load, damage noticed, and a resume that repeats the uninterrupted run."""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import random
import signal
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf

from callbacks import (
    AtomicCheckpointIO,
    BestCheckpoint,
    ResumeCheckpoint,
    StepSeed,
    find_resume_checkpoint,
    load_checkpoint,
)
from callbacks.checkpoint import damage
from contrapposto.errors import InputError, MissingError
from loggers import CSVRunLogger
from tests.callbacks.tiny import SEED, Data, Tiny, trainer


class Killed(Exception):
    pass


class KillAt(pl.Callback):
    """Raise in the middle of a batch, as a killed process would stop: nothing after it runs."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        if trainer.fit_loop.total_batch_idx == self.batch:
            raise Killed


def run(folder: Path, every: int, kill: int | None = None, resume: bool = False, **options):
    callbacks = [StepSeed(SEED), ResumeCheckpoint(folder / "checkpoints", every_n_steps=every)]
    if kill is not None:
        callbacks.append(KillAt(kill))
    model = Tiny()
    fit = trainer(callbacks, [CSVRunLogger(folder)], **options)
    path = find_resume_checkpoint(folder) if resume else None
    with contextlib.suppress(Killed):
        fit.fit(model, datamodule=Data(), ckpt_path=path)
    return model


# 6 batches an epoch. every=2 saves within epochs and, for the sixth, at the epoch's end; every=6 at ends only.
@pytest.mark.parametrize(("every", "kill"), [(2, 3), (2, 5), (6, 7), (6, 13), (3, 9), (1, 12), (4, 11)])
def test_resumed_run_repeats_the_uninterrupted_one(tmp_path, every, kill):
    whole = run(tmp_path / "whole", every)
    run(tmp_path / "cut", every, kill=kill)
    resumed = run(tmp_path / "cut", every, resume=True)
    expected = dict(whole.losses)
    assert len(resumed.losses) == 18 - kill // every * every
    for step, loss in resumed.losses:
        assert loss == expected[step]
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name])
    assert (tmp_path / "cut/metrics.csv").read_text() == (tmp_path / "whole/metrics.csv").read_text()


class Terminated(Tiny):
    """Asked to end, as a batch system does, in the middle of batch 7."""

    def training_step(self, batch, batch_idx):
        if self.trainer.fit_loop.total_batch_idx == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().training_step(batch, batch_idx)


def test_sigterm_saves_after_the_batch(tmp_path):
    whole = run(tmp_path / "whole", 100)
    callbacks = [StepSeed(SEED), ResumeCheckpoint(tmp_path / "cut/checkpoints", 100)]
    with pytest.raises(SystemExit):
        trainer(callbacks, [CSVRunLogger(tmp_path / "cut")]).fit(Terminated(), datamodule=Data())
    assert load_checkpoint(tmp_path / "cut/checkpoints/last.ckpt")["global_step"] == 8
    resumed = run(tmp_path / "cut", 100, resume=True)
    assert resumed.losses == whole.losses[8:]


def test_a_finished_run_can_be_made_longer(tmp_path):
    whole = run(tmp_path / "whole", 100, max_epochs=3)
    run(tmp_path / "cut", 100, max_epochs=2)
    resumed = run(tmp_path / "cut", 100, resume=True, max_epochs=3)
    assert resumed.losses == whole.losses[12:]


def test_validation_in_mid_epoch_is_not_lost(tmp_path):
    """The save that is due together with a validation waits one batch."""
    options = {"val_check_interval": 2, "check_val_every_n_epoch": None}
    run(tmp_path / "whole", 2, **options)
    run(tmp_path / "cut", 2, kill=4, **options)
    assert load_checkpoint(tmp_path / "cut/checkpoints/last.ckpt")["global_step"] == 3
    run(tmp_path / "cut", 2, resume=True, **options)
    assert (tmp_path / "cut/metrics.csv").read_text() == (tmp_path / "whole/metrics.csv").read_text()


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    run(folder, 4)
    return folder


def copy(folder: Path, target: Path) -> Path:
    (target / "checkpoints").mkdir()
    for path in (folder / "checkpoints").iterdir():
        (target / "checkpoints" / path.name).write_bytes(path.read_bytes())
    return target


def test_last_and_previous(finished):
    assert sorted(os.listdir(finished / "checkpoints")) == ["last.ckpt", "previous.ckpt"]
    assert load_checkpoint(finished / "checkpoints/last.ckpt")["global_step"] == 18
    assert load_checkpoint(finished / "checkpoints/previous.ckpt")["global_step"] == 16


def test_checkpoint_loads_safely_and_configuration_is_plain(finished):
    path = finished / "checkpoints/last.ckpt"
    assert damage(path) is None
    content = torch.load(path, weights_only=True)
    assert type(content["hyper_parameters"]) is dict


@pytest.mark.parametrize("cut", [0, 1, 100, -200, -1])
def test_truncated_checkpoint_falls_back(finished, tmp_path, cut):
    folder = copy(finished, tmp_path)
    last = folder / "checkpoints/last.ckpt"
    last.write_bytes(last.read_bytes()[:cut])
    with pytest.warns(UserWarning, match="damaged"):
        assert find_resume_checkpoint(folder).name == "previous.ckpt"


def test_every_flipped_bit_of_the_content_is_noticed(finished, tmp_path):
    """A flip either changes nothing that is loaded (padding, an unused header field) or is found."""
    good = (finished / "checkpoints/last.ckpt").read_bytes()
    expected = load_checkpoint(finished / "checkpoints/last.ckpt")
    path = tmp_path / "flipped.ckpt"
    rng, missed = random.Random(0), 0
    for _ in range(300):
        data = bytearray(good)
        position = rng.randrange(len(data))
        data[position] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        if damage(path) is None:
            missed += 1
            assert same(load_checkpoint(path), expected)
    assert missed < 150


def same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def test_all_damaged_is_an_error_and_none_is_none(finished, tmp_path):
    assert find_resume_checkpoint(tmp_path) is None
    folder = copy(finished, tmp_path)
    for path in (folder / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InputError, match="resumed"):
        find_resume_checkpoint(folder)


class Bomb:
    def __reduce__(self):
        return os.system, ("touch exploded",)


def test_hostile_files_execute_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "bomb": Bomb()}, "zip.ckpt")
    Path("pickle.ckpt").write_bytes(pickle.dumps(Bomb()))
    Path("text.ckpt").write_text("hello")
    Path("empty.ckpt").write_bytes(b"")
    for name in ("zip.ckpt", "pickle.ckpt", "text.ckpt", "empty.ckpt"):
        with pytest.raises(InputError):
            load_checkpoint(name)
        with pytest.raises(InputError):  # also where the caller asks for the unsafe loader
            AtomicCheckpointIO().load_checkpoint(name, weights_only=False)
    assert not Path("exploded").exists()
    with pytest.raises(MissingError):
        load_checkpoint("absent.ckpt")


def test_what_cannot_be_loaded_again_is_refused_when_saved(tmp_path):
    with pytest.raises(TypeError, match="safely"):
        AtomicCheckpointIO().save_checkpoint({"odd": Bomb()}, tmp_path / "x.ckpt")
    assert list(tmp_path.iterdir()) == []


def test_configuration_containers_become_plain(tmp_path):
    config = OmegaConf.create({"a": {"b": [1, 2, "${x}"]}, "x": 5})
    shared = torch.zeros(3)
    checkpoint = {"hyper_parameters": config, "path": Path("x"), "s": shared, "t": {"s": shared}}
    AtomicCheckpointIO().save_checkpoint(checkpoint, tmp_path / "x.ckpt")
    loaded = load_checkpoint(tmp_path / "x.ckpt")
    assert loaded["hyper_parameters"] == {"a": {"b": [1, 2, 5]}, "x": 5} and loaded["path"] == "x"
    assert loaded["s"].data_ptr() == loaded["t"]["s"].data_ptr()


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    io = AtomicCheckpointIO()
    io.save_checkpoint({"value": 1}, tmp_path / "x.ckpt")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(InputError, match="disk is full"):
        io.save_checkpoint({"value": 2}, tmp_path / "x.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["x.ckpt"]
    assert load_checkpoint(tmp_path / "x.ckpt")["value"] == 1


def test_best_follows_the_monitor_also_in_a_moved_run(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    callbacks = [BestCheckpoint(first / "checkpoints"), ResumeCheckpoint(first / "checkpoints", 4)]
    trainer(callbacks, max_epochs=2).fit(Tiny(), datamodule=Data())
    score = float(callbacks[0].best_model_score)
    assert Path(callbacks[0].best_model_path).name == "best.ckpt" and math.isfinite(score)
    first.rename(second)
    best = BestCheckpoint(second / "checkpoints")
    resumed = trainer([best], max_epochs=3)
    resumed.fit(Tiny(), datamodule=Data(), ckpt_path=find_resume_checkpoint(second))
    assert float(best.best_model_score) <= score
    assert Path(best.best_model_path) == second / "checkpoints/best.ckpt"


def test_killed_between_link_and_save(tmp_path):
    """Two names of one file must not confuse the next save."""
    run(tmp_path, 4, kill=5)
    folder = tmp_path / "checkpoints"
    os.link(folder / "last.ckpt", folder / "previous.ckpt")
    run(tmp_path, 4, resume=True)
    assert sorted(os.listdir(folder)) == ["last.ckpt", "previous.ckpt"]
