"""Every trained model by one call: `contrapposto.models.load("posegpt_gpt")`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contrapposto.errors import ConfigError
from contrapposto.options import locate

_SYSTEMS = "contrapposto.systems"
CLASSES = {
    "anerf": f"{_SYSTEMS}.anerf.avatar.Avatar",
    "anerf_fast": f"{_SYSTEMS}.anerf.avatar.Avatar",
    "anerf_splat": f"{_SYSTEMS}.anerf.avatar.Avatar",
    "npr": f"{_SYSTEMS}.npr.transfer.PoseTransfer",
    "npr_residual": f"{_SYSTEMS}.npr.transfer.PoseTransfer",
    "npr_feature_diffusion": f"{_SYSTEMS}.npr.generation.PoseGenerator",
    "npr_residual_diffusion": f"{_SYSTEMS}.npr.pose_space.ResidualGenerator",
    "posegpt_gpt": f"{_SYSTEMS}.posegpt.generator.MotionGenerator",
    "sage_refiner": f"{_SYSTEMS}.sage.tracker.SageTracker",
    "sage_student": f"{_SYSTEMS}.sage.student.StudentTracker",
    "sage_decoder": f"{_SYSTEMS}.sage.tracker.SageTracker",
    "scail_lifter": f"{_SYSTEMS}.scail_pose.lifter.Lifter",
    "sparse_transformer": f"{_SYSTEMS}.sage.sparse_transformer.TransformerTracker",
    "tracker": f"{_SYSTEMS}.sage.recurrent_tracker.Tracker",
}
"""Inference class of each model; its `from_pretrained` loads it."""


def load(name_or_path: str | Path, **options: Any) -> Any:
    """The inference object of a trained model.

    Args:
        name_or_path: see `contrapposto.pretrained`.
        options: of the class's `from_pretrained`.

    Raises:
        MissingError: there is no such model.
        ConfigError: it is a stage of a training that no inference class uses by itself.
        InputError: the file is damaged.
    """
    from contrapposto.pretrained import find_checkpoint
    from contrapposto.runs import load_config

    model = str(load_config(find_checkpoint(name_or_path).parent.parent).get("name"))
    if model not in CLASSES:
        raise ConfigError(f"{name_or_path} holds {model}.", expected=f"one of {', '.join(sorted(CLASSES))}")
    return locate(CLASSES[model]).from_pretrained(name_or_path, **options)
