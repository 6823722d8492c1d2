"""Phase 6: the trainings' metrics, a sheet of images, and weights in half precision that are small enough to carry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.machine import end_build
from benchmarks.gpu.plan import Plan

MOST_FILES, MOST_BYTES = 6, 16 * 2**20


def finish(plan: Plan, results: dict[str, Any]) -> dict[str, Any]:
    """What the trainings reached, their images in one sheet, their weights."""
    entry: dict[str, Any] = {"nvdiffrast": end_build(), "metrics": {}}
    for file in sorted((plan.out / "runs").glob("*/*/metrics.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        name = str(file.parent.relative_to(plan.out / "runs"))
        entry["metrics"][name] = (content.get("best") or content.get("last") or {}).get("metrics")
    entry["weights"] = [str(path.relative_to(plan.out)) for path in _weights(plan)]
    entry["sheet"] = _sheet(plan)
    return entry


def _weights(plan: Plan) -> list[Path]:
    """Newest checkpoint of every run, floats rounded to half precision, as safetensors."""
    from safetensors.torch import save_file

    from contrapposto.checkpoints import load_checkpoint

    written = []
    for file in sorted((plan.out / "runs").glob("*/*/checkpoints/last.ckpt"))[:MOST_FILES]:
        state = load_checkpoint(file).get("state_dict") or {}
        half = {
            name: (value.half() if value.is_floating_point() else value).detach().cpu().contiguous().clone()
            for name, value in state.items()
            if isinstance(value, torch.Tensor)
        }
        if sum(value.nbytes for value in half.values()) > MOST_BYTES:
            continue
        path = plan.out / "weights" / f"{file.parents[2].name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(half, str(path))
        written.append(path)
    return written


def _sheet(plan: Plan) -> str:
    """An image by the shipped avatar, drawn on the device, beside the same on the CPU."""
    from PIL import Image

    from contrapposto.systems.anerf.avatar import Avatar
    from contrapposto.systems.anerf.paths import MODES

    images = []
    for device in dict.fromkeys((plan.device, "cpu")):
        if device == "cpu" and not plan.rehearse and plan.left() < 0:
            continue
        avatar = Avatar.from_pretrained("anerf", device=device)
        path = MODES["selected"](avatar.frames(), [0])
        height = 16 if plan.rehearse else 128
        view = path.view(0, avatar.size).scaled(height / avatar.size[0])
        shown = avatar.renderer()(path.world_to_bone[0], view, code_index=-1).over(torch.ones(3))
        images.append((255 * shown.cpu()).round().byte().numpy())
    file = plan.out / "sheet.png"
    Image.fromarray(np.concatenate(images, axis=1)).save(file)
    return file.name
