"""`trainer=auto`."""

import pytest

from cli import auto
from cli.compose import compose_config


@pytest.mark.parametrize(("fast", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_precision_follows_the_processor(monkeypatch, fast, precision):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(auto, "has_bfloat16", lambda: fast)
    config = compose_config("train", ["model=sage_first", "trainer=auto"])
    line = auto.choose(config)
    assert (config.trainer.accelerator, config.trainer.devices, config.trainer.precision) == (
        "cpu",
        1,
        precision,
    )
    assert f"precision={precision}" in line and "bfloat16" in line


def test_devices_share_the_batch_evenly(monkeypatch):
    for name, value in {"is_available": True, "device_count": 8, "is_bf16_supported": True}.items():
        monkeypatch.setattr(f"torch.cuda.{name}", lambda value=value: value)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "a device")
    config = compose_config("train", ["model=sage_first", "trainer=auto", "data.batch_size=300"])
    auto.choose(config)
    assert config.trainer.devices == 6 and config.trainer.strategy == "ddp" and config.data.batch_size == 300


def test_nothing_is_chosen_without_it():
    config = compose_config("train", ["model=sage_first"])
    assert auto.choose(config) == "" and config.trainer.precision == "32-true"
