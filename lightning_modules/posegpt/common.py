"""What PoseGPT's three modules share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import torch
from torch import Tensor

from contrapposto.body import BodyModel, load_body
from contrapposto.data.segments import open_vocabulary
from contrapposto.data.vocabulary import Vocabulary
from contrapposto.errors import ConfigError, InputError
from contrapposto.nn.distributed import all_sum, world_size
from contrapposto.skeleton import SKELETONS, Skeleton
from contrapposto.systems.posegpt.poses import Height
from lightning_modules.base import StageModule

_LAYOUTS = {"smpl22": "smplh", "smpl24": "smpl", "smplh52": "smplh", "smplx55": "smplx"}


class PoseModule(StageModule):
    """A network on windows of pose vectors. A subclass saves its hyper-parameters.

    Args:
        skeleton: whose joints the pose vectors have: smpl22, smpl24, smplh52 or smplx55.
        heading: of the windows, see the data module. With `canonical`, their first frames face forward
            (`poses.face_forward`), which inference must see to as well.
        height: of the root, see `poses.Height`.
    """

    def __init__(self, skeleton: str, heading: str, height: str = "start") -> None:
        super().__init__()
        if skeleton not in SKELETONS:
            raise ConfigError(f"There is no skeleton {skeleton}.", expected=", ".join(SKELETONS))
        self.skeleton: Skeleton = SKELETONS[skeleton]
        self.canonical = heading == "canonical"
        if height not in get_args(Height):
            raise ConfigError(f"data.height={height} is not possible.", expected=", ".join(get_args(Height)))
        self.height: Height = cast(Height, height)

    def outputs_of(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Named outputs of an evaluation batch, see the class."""
        raise NotImplementedError

    def evaluate_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Named outputs of a batch of windows, with their names and lengths."""
        return {**self.outputs_of(batch), "clips": batch["names"], "num_frames": batch["lengths"].tolist()}


def keep_vocabulary(module: PoseModule, source: str | Sequence[str], store: str | None) -> Vocabulary:
    """The module's actions; its hyper-parameters then hold the words themselves, not where they were found.

    Args:
        module: whose hyper-parameters `vocabulary` and `store` are set.
        source: lines of a vocabulary, its name, a file, or `auto`.
        store: whose texts `auto` takes.
    """
    if not isinstance(source, str):
        words = Vocabulary.of_lines(source)
    else:
        if source == "auto" and store is None:
            raise ConfigError("vocabulary=auto needs a store.")
        words = open_vocabulary(source, store or "")
    module.hparams["vocabulary"], module.hparams["store"] = words.lines, None
    return words


def body_of(skeleton: str, path: str | None) -> BodyModel:
    """The body that pose vectors of a skeleton pose; see `load_body` for `path`."""
    return load_body(_LAYOUTS[skeleton], path=path)


def hand_means(path: str | None) -> Tensor | None:
    """(90,) mean hand pose of an official SMPL-X file (.npz), which the original adds by accident; None without.

    Raises:
        InputError: it is another file.
    """
    if path is None:
        return None
    try:
        with np.load(Path(path), allow_pickle=False) as arrays:
            parts = [
                np.asarray(arrays[name], np.float32).reshape(45) for name in ("hands_meanl", "hands_meanr")
            ]
    except Exception as error:  # zipfile, zlib and NumPy meet damage with whatever breaks first
        raise InputError(
            f"{path} has no mean hand pose.",
            found=str(error)[:200],
            expected="an SMPL-X model file with hands_meanl and hands_meanr",
        ) from error
    return torch.from_numpy(np.concatenate(parts))


def token_share(token_valid: Tensor) -> Tensor:
    """By what a mean over this process's valid tokens is multiplied so that the processes' mean is that of all tokens.

    Args:
        token_valid: (B, L) bool.
    """
    own = token_valid.sum().float()
    return own * world_size() / all_sum(own).clamp_min(1)
