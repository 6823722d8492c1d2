"""Checkpoints in the original's layout (docs/specs/posegpt.md, section 12)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

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
