"""Checkpoints in the original's layout (docs/specs/posegpt.md, section 12)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from contrapposto.errors import InputError
from contrapposto.systems.posegpt.classifier import PoseClassifier
from contrapposto.systems.posegpt.gpt import PoseGPT
from contrapposto.systems.posegpt.vqvae import PoseVQVAE
from contrapposto.weights import ImportReport, import_official, load_official_state_dict

_RENAME = {"log_sigmas.verts": "log_sigmas.vert", "vqvae.log_sigmas.verts": "vqvae.log_sigmas.vert"}
_OPTIONAL = ("*log_sigmas.*", "*quantizer.usage.*")
# The original always has these, used or not; ours has only what is used.
_UNUSED = {"action_emb.": "action_emb.*", "seqlen_emb": "seqlen_emb*", "gpt.fc_emb.": "gpt.fc_emb.*"}


def import_vqvae(model: PoseVQVAE, state_dict: Mapping[str, Tensor]) -> ImportReport:
    """Load an original auto-encoder's state dict.

    Frozen position tables and causal masks are compared, not loaded; the losses' spreads may be absent or
    under their older name.

    Raises:
        InputError: it does not fit, see `contrapposto.weights.import_official`.
    """
    return import_official(model, state_dict, rename=_RENAME, optional=[*_OPTIONAL, *_tables(model)])


def read_vqvae(path: str | Path) -> tuple[PoseVQVAE, dict[str, Any]]:
    """An original auto-encoder with the options that its file tells; the number of heads is the published one.

    Raises:
        MissingError, InputError: no such file, damaged, or of another network.
    """
    state = load_official_state_dict(path)
    try:
        options = _options_of(state)
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path} is not an auto-encoder of the original.", found=f"{len(state)} tensors, {error}"
        ) from error
    model = PoseVQVAE(**options)
    import_vqvae(model, state)
    return model, options


def _options_of(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Options of `PoseVQVAE` out of names and shapes: attention that sees the past alone has a mask."""
    hidden, inputs = state["emb.weight"].shape
    codebooks = [value for name, value in state.items() if name.startswith("quantizer.embeddings.")]
    code_dim, _ = state["quant_emb.weight"].shape
    blocks = {
        tuple(name.split(".")[1:4:2]) for name in state if re.match(r"encoder_stacks\.\d+\.blocks\.", name)
    }
    scales = Counter(stack for stack, _ in blocks)
    full_rate = "encoder_stacks.0.down_conv.conv.weight" not in state
    masked = {name.partition("_")[0] for name in state if name.endswith("attn.mask")}
    return {
        "variant": ("offline", "causal", "online")[len(masked)],
        "num_joints": (inputs - 3) // 6,
        "hidden": hidden,
        "num_layers": [*([] if full_rate else [0]), *(scales[stack] for stack in sorted(scales, key=int))],
        "num_books": len(codebooks),
        "num_codes": sum(len(book) for book in codebooks),
        "code_dim": code_dim,
    }


def import_gpt(model: PoseGPT, state_dict: Mapping[str, Tensor]) -> ImportReport:
    """Load an original generator's state dict, with its auto-encoder under `vqvae.` where the model has one.

    The model must have been made with the original's options, `original_offsets` among them.

    Raises:
        InputError: it does not fit.
    """
    own = model.state_dict().keys()
    ignore = [
        pattern for start, pattern in _UNUSED.items() if not any(name.startswith(start) for name in own)
    ]
    if model.vqvae is None:
        ignore.append("vqvae.*")
    optional = [*_OPTIONAL, *_tables(model)]
    return import_official(model, state_dict, rename=_RENAME, ignore=ignore, optional=optional)


def import_classifier(model: PoseClassifier, state_dict: Mapping[str, Tensor]) -> ImportReport:
    """Load an original classifier's state dict; its names may begin with `classifier.`.

    Raises:
        InputError: it does not fit.
    """
    return import_official(model, state_dict, rename={"classifier.": ""}, ignore=["bm.*", "*.bm.*"])


def load_official(model: PoseVQVAE | PoseGPT | PoseClassifier, path: str | Path) -> ImportReport:
    """Load an original checkpoint file into the network it is of.

    Raises:
        MissingError, InputError: no such file, damaged, or of another network.
    """
    state = load_official_state_dict(path)
    if isinstance(model, PoseVQVAE):
        return import_vqvae(model, state)
    return import_gpt(model, state) if isinstance(model, PoseGPT) else import_classifier(model, state)


def _tables(model: nn.Module) -> list[str]:
    """Trained position tables: the sine start stands where a file has none."""
    return [name for name, _ in model.named_parameters() if name.endswith(".pe")]
