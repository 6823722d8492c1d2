"""`trainer=auto`: precision, devices and DataLoader workers for this machine."""

from __future__ import annotations

import os
from pathlib import Path

from omegaconf import DictConfig, open_dict


def choose(config: DictConfig) -> str:
    """Replace the values `auto` of `trainer.accelerator`, `devices`, `strategy`, `precision` by choices.

    Returns:
        What was chosen and why, one line; empty where nothing was left to choose.
    """
    trainer = config.trainer
    if trainer.get("precision") != "auto":
        return ""
    import torch

    reasons = []
    with open_dict(config):
        if torch.cuda.is_available() and trainer.accelerator in ("auto", "gpu", "cuda"):
            trainer.accelerator = "gpu"
            if trainer.devices == "auto":
                trainer.devices = _devices(torch.cuda.device_count(), config.data.get("batch_size"))
            trainer.precision = "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
            if "num_workers" in config.data and not config.data.num_workers:
                config.data.num_workers = min(4, (os.cpu_count() or 1) // (2 * trainer.devices))
            reasons.append(torch.cuda.get_device_name())
        else:
            trainer.accelerator, trainer.devices = "cpu", 1
            fast = has_bfloat16()
            trainer.precision = "bf16-mixed" if fast else "32-true"
            reasons.append("the CPU multiplies bfloat16" if fast else "the CPU has no bfloat16 products")
        if trainer.strategy == "auto" and trainer.devices > 1:
            trainer.strategy = "ddp"
    workers = config.data.get("num_workers")
    return (
        f"trainer=auto: accelerator={trainer.accelerator} devices={trainer.devices} precision={trainer.precision}"
        + (f" data.num_workers={workers}" if workers is not None else "")
        + f" ({', '.join(reasons)})"
    )


def _devices(available: int, batch: int | None) -> int:
    """As many as there are, and as share the global batch evenly."""
    return next(count for count in range(available, 0, -1) if not batch or batch % count == 0)


def has_bfloat16() -> bool:
    """Whether this CPU has products of bfloat16 (AVX512-BF16 or AMX); without them bfloat16 is emulated, and slow."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(f" {flag}" in flags for flag in ("avx512_bf16", "amx_bf16"))
