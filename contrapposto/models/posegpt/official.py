"""Checkpoints in the original's layout (sheet, section 12)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from contrapposto.weights import ImportReport, import_official, load_official_state_dict

_RENAME = {"log_sigmas.verts": "log_sigmas.vert", "vqvae.log_sigmas.verts": "vqvae.log_sigmas.vert"}
_OPTIONAL = ("*log_sigmas.*", "*quantizer.usage.*")


def import_vqvae(model: nn.Module, state_dict: Mapping[str, Tensor]) -> ImportReport:
    """Load an original auto-encoder's state dict.

    Position tables and causal masks are compared, not loaded; the losses' spreads may be absent or under
    their older name.

    Raises:
        InputError: it does not fit, see `contrapposto.weights.import_official`.
    """
    tables = [name for name, _ in model.named_parameters() if name.endswith(".pe")]
    # A trained table is part of the file; test data leave it out as something that the module builds.
    return import_official(model, state_dict, rename=_RENAME, optional=[*_OPTIONAL, *tables])


def import_classifier(model: nn.Module, state_dict: Mapping[str, Tensor]) -> ImportReport:
    """Load an original classifier's state dict; its names may begin with `classifier.`.

    Raises:
        InputError: it does not fit.
    """
    return import_official(model, state_dict, rename={"classifier.": ""}, ignore=["*bm.*"])


def import_gpt(model: nn.Module, state_dict: Mapping[str, Tensor]) -> ImportReport:
    """Load an original generator's state dict, the frozen auto-encoder under `vqvae.` included.

    Raises:
        InputError: it does not fit.
    """
    return import_vqvae(model, state_dict)


def load(model: nn.Module, path: str | Path) -> ImportReport:
    """Load an original checkpoint file into the network it is of.

    Raises:
        MissingError, InputError: no such file, damaged, or of another network.
    """
    state = load_official_state_dict(path)
    return (import_classifier if hasattr(model, "stack") else import_vqvae)(model, state)
