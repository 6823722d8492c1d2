"""EMA against a loop in float64, buffers by kind, checkpoints and resumes."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch

from callbacks import EMA, ResumeCheckpoint, StepSeed, find_resume_checkpoint, load_checkpoint
from tests.callbacks.tiny import SEED, Data, Tiny, trainer


class Buffered(Tiny):
    """A statistic that follows the weights, a counter, a flag, and a table that never changes."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("statistic", torch.zeros(4))
        self.register_buffer("counter", torch.zeros((), dtype=torch.long))
        self.register_buffer("used", torch.zeros(3, dtype=torch.bool))
        self.register_buffer("table", torch.rand(1000, generator=torch.Generator().manual_seed(0)))

    def training_step(self, batch, batch_idx):
        self.statistic.copy_(0.9 * self.statistic + 0.1 * batch["x"][0, :4])
        self.counter += 1
        self.used[int(self.counter) % 3] = True
        return super().training_step(batch, batch_idx)


class History(pl.Callback):
    """The state after every step (stands after EMA in the list)."""

    def __init__(self) -> None:
        self.states: list[dict[str, torch.Tensor]] = []

    def on_train_batch_end(self, trainer, pl_module, *_) -> None:
        self.states.append({name: value.double().clone() for name, value in pl_module.state_dict().items()})


def expected(states: list[dict], decay: float, warmup: bool) -> dict[str, torch.Tensor]:
    average = dict(states[0])
    for count, state in enumerate(states[1:], start=1):
        d = min(decay, (1 + count) / (10 + count)) if warmup else decay
        average = {name: d * average[name] + (1 - d) * state[name] for name in state}
    return average


@pytest.mark.parametrize("warmup", [True, False])
def test_average_is_the_closed_form(warmup):
    history = History()
    model = Buffered()
    trainer([EMA(0.9, warmup=warmup), history], max_epochs=2).fit(model, datamodule=Data())
    reference = expected(history.states, 0.9, warmup)
    last = history.states[-1]
    for name, value in model.state_dict().items():  # after fitting the average sits in the model
        want = last[name] if name in ("counter", "used") else reference[name]
        torch.testing.assert_close(value.double(), want, rtol=1e-5, atol=1e-6)
    assert int(model.counter) == 12
    assert torch.equal(model.table, Buffered().table)  # to the last bit


def test_validation_sees_the_average_and_training_goes_on_with_the_weights():
    seen = []

    class Watch(Buffered):
        def validation_step(self, batch, batch_idx):
            seen.append(self.net[0].weight.clone())
            return super().validation_step(batch, batch_idx)

    history = History()
    model = Watch()
    trainer([EMA(0.9), history], max_epochs=2).fit(model, datamodule=Data(clips=2))
    average = expected(history.states[:6], 0.9, True)["net.0.weight"]
    torch.testing.assert_close(seen[0].double(), average, rtol=1e-5, atol=1e-6)


def test_training_is_the_same_with_and_without():
    histories = [History(), History()]
    for history, extra in zip(histories, [[EMA(0.9)], []]):
        trainer([StepSeed(1), *extra, history], max_epochs=2).fit(Buffered(), datamodule=Data())
    for a, b in zip(histories[0].states, histories[1].states):
        assert all(torch.equal(a[name], b[name]) for name in a)


def fit(folder, epochs: int, every: int, resume: bool = False) -> Buffered:
    model = Buffered()
    callbacks = [StepSeed(SEED), EMA(0.9), ResumeCheckpoint(folder / "checkpoints", every)]
    path = find_resume_checkpoint(folder) if resume else None
    trainer(callbacks, max_epochs=epochs).fit(model, datamodule=Data(), ckpt_path=path)
    return model


@pytest.mark.parametrize("every", [4, 100])  # the last save at the end of an epoch, and at that of training
def test_a_finished_run_made_longer_equals_one_that_was_long(tmp_path, every):
    whole = fit(tmp_path / "whole", 3, every)
    fit(tmp_path / "cut", 2, every)
    resumed = fit(tmp_path / "cut", 3, every, resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.parametrize("every", [4, 100])
def test_checkpoint_holds_the_average_under_state_dict(tmp_path, every):
    model = fit(tmp_path, 2, every)
    content = load_checkpoint(find_resume_checkpoint(tmp_path))
    for name, value in model.state_dict().items():
        assert torch.equal(content["state_dict"][name], value), name
    assert not torch.equal(content["current_model_state"]["net.0.weight"], model.net[0].weight)


def test_evaluation_after_fitting_uses_the_average(tmp_path):
    model = Buffered()
    fitted = trainer([EMA(0.9)], max_epochs=1)
    fitted.fit(model, datamodule=Data())
    before = model.net[0].weight.clone()
    seen = []
    model.validation_step = lambda batch, batch_idx: seen.append(model.net[0].weight.clone())
    fitted.validate(model, datamodule=Data(), verbose=False)
    assert all(torch.equal(weight, before) for weight in seen) and seen


def test_wrong_decay():
    with pytest.raises(ValueError, match=r"1\.5"):
        EMA(1.5)
