"""A-NeRF's own checkpoints, .tar (docs/specs/anerf.md, section 11)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contrapposto.errors import InputError
from contrapposto.systems.anerf.model import ANeRF, ANeRFConfig
from contrapposto.systems.anerf.poses import PoseLayer, SharedPoseLayer
from contrapposto.weights import ImportReport, StateDict, import_official, load_state_dicts

_PLACES = {
    "network_fn": "coarse",
    "network_fine": "fine",
    "embed": "distance_encoding",
    "embeddirs": "view_encoding",
}


def state_of(parts: Mapping[str, Mapping[str, Tensor]]) -> StateDict:
    """One state dict in this project's names from a checkpoint's, by their names without `_state_dict`.

    A checkpoint of the single network may hold only one of the two.
    """
    state: StateDict = {}
    for name, own in _PLACES.items():
        for key, value in parts.get(name, {}).items():
            state[f"{own}.{key}"] = value
    return state


def config_of(parts: Mapping[str, Mapping[str, Tensor]]) -> ANeRFConfig:
    """Options that the shapes of a checkpoint tell: frequencies, depth, width, codes, one network or two.

    Sample counts are the published ones of each setting.

    Raises:
        InputError: no network in it, or widths that no setting has.
    """
    network = parts.get("network_fine") or parts.get("network_fn")
    if not network or "pts_linears.0.weight" not in network:
        raise InputError(
            "The checkpoint holds no A-NeRF network.", found=", ".join(parts), expected="network_fn"
        )
    width, inputs = network["pts_linears.0.weight"].shape
    codes = network.get("framecodes.codes.weight")
    num_codes, code_size = codes.shape if codes is not None else (0, 16)
    view = network["views_linears.0.weight"].shape[1] - width - (code_size if num_codes else 0)
    distance_rows, view_rows = (inputs - 72) / 24, view / 72
    if distance_rows % 2 != 1 or view_rows % 2 != 1:
        raise InputError(
            "The network's inputs are those of no supported encoding.",
            found=f"{inputs} density and {view} view inputs",
            expected="24 (2n + 1) + 72 and 72 (2m + 1)",
        )
    single = _is_single(parts)
    return ANeRFConfig(
        coarse_samples=96 if single else 64,
        fine_samples=48 if single else 16,
        distance_frequencies=int(distance_rows) // 2,
        view_frequencies=int(view_rows) // 2,
        depth=sum(key.startswith("pts_linears.") and key.endswith(".weight") for key in network),
        width=width,
        single_network=single,
        num_codes=num_codes,
        code_size=code_size,
    )


def import_model(
    model: ANeRF, parts: Mapping[str, Mapping[str, Tensor]], *, strict: bool = True
) -> ImportReport:
    """Load a checkpoint's networks and encodings.

    Raises:
        InputError: they do not fit, see `contrapposto.weights.import_official`.
    """
    parts = dict(parts)
    if model.config.single_network:
        parts["network_fn"] = parts["network_fine"] = parts.get("network_fine") or parts["network_fn"]
    optional = [f"{name}.*" for name in ("distance_encoding", "view_encoding")]
    return import_official(model, state_of(parts), optional=optional, strict=strict)


def load_official(path: str | Path) -> ANeRF:
    """The model of a checkpoint, in eval mode: options from its shapes, and from `args.txt` where that lies beside it.

    Raises:
        MissingError, InputError: see `contrapposto.weights.load_state_dicts`; or it holds no A-NeRF network; or an
            option in args.txt cannot be read.
    """
    parts = load_state_dicts(path)
    config = config_of(parts)
    arguments = Path(path).parent / "args.txt"
    if arguments.is_file():
        config = replace(config, **read_arguments(arguments))
    model = ANeRF(config)
    import_model(model, parts)
    return model.eval()


def read_arguments(path: Path) -> dict[str, Any]:
    """Options of `ANeRFConfig` in the original's args.txt ("key = value" lines) that a checkpoint's shapes do not tell.

    Raises:
        InputError: a value of another kind.
    """
    values = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        key, equals, text = (part.strip() for part in line.partition("="))
        if equals and key in _ARGUMENTS:
            name, kind = _ARGUMENTS[key]
            try:
                values[name] = kind(text)
            except ValueError:
                raise InputError(f"{key} in {path} cannot be read.", found=text) from None
    return values


def _flag(text: str) -> bool:
    if text not in ("True", "False"):
        raise ValueError(text)
    return text == "True"


_ARGUMENTS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "N_samples": ("coarse_samples", int),
    "N_importance": ("fine_samples", int),
    "density_type": ("density", str),
    "density_scale": ("density_scale", float),
    "lindisp": ("inverse_depth", _flag),
}


def load_official_poses(path: str | Path) -> PoseLayer | None:
    """The refined poses of a checkpoint or of a pose-only file; None where it has none.

    Raises:
        MissingError, InputError: unreadable file, or parameters of another shape.
    """
    state = load_state_dicts(path).get("poseopt_layer")
    return None if not state else pose_layer_of(state)


def pose_layer_of(state: Mapping[str, Tensor]) -> PoseLayer:
    """A pose layer from its original state dict.

    Raises:
        InputError: parameters are missing or do not fit.
    """
    missing = [name for name in ("pelvis", "bones", "rest_pose") if name not in state]
    if missing:
        raise InputError(
            "The pose layer of the checkpoint is not complete.", found=f"no {', '.join(missing)}"
        )
    bones, pelvis = state["bones"], state["pelvis"]
    kind = "axis_angle" if bones.shape[-1] == 3 else "sixd"
    start = torch.zeros(len(pelvis), 24, 3)
    layer: PoseLayer
    if "kp_map" in state:
        layer = SharedPoseLayer(
            state["rest_pose"], start, pelvis, state["kp_map"], state["kp_uidxs"], kind=kind
        )
    else:
        layer = PoseLayer(state["rest_pose"], start, pelvis, kind=kind)
    import_official(layer, dict(state))
    return layer


def _is_single(parts: Mapping[str, Mapping[str, Tensor]]) -> bool:
    """Whether both names hold the same network."""
    first, second = parts.get("network_fn"), parts.get("network_fine")
    if not first or not second:
        return True
    key = "pts_linears.0.weight"
    return first[key].shape == second[key].shape and torch.equal(first[key], second[key])
