"""Trained pose networks by name or path, with the meshes that they were trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrapposto.devices import Device, find_device
from contrapposto.mesh.asset import MeshAsset
from contrapposto.mesh.template import Normalize
from contrapposto.pretrained import Pretrained, load_pretrained
from contrapposto.systems.npr.model import NPR
from contrapposto.systems.npr.njf import NeuralJacobianFields
from contrapposto.systems.npr.refiner import PoseRefiner
from contrapposto.systems.npr.residual import ResidualNPR

OFFICIAL_SUFFIXES = (".pth", ".pt")
_LATER_STAGES = ("npr_refiner", "npr_keypoint_diffusion", "npr_feature_diffusion", "npr_residual_diffusion")
MODELS = ("npr_residual", "npr", "npr_vertices", "njf", *_LATER_STAGES)
_METADATA = ("licence", "source", "attribution")


@dataclass(frozen=True, eq=False)
class PretrainedNetwork:
    """A pose network and what it was trained on.

    Args:
        model: name of the model, as in `model=`.
        network: extractor and applier, or the baseline; in evaluation mode.
        templates: meshes that it was trained on, by name.
        normalize: how these were scaled.
        metadata: licence, source and attribution of the data that it was trained on.
        refiner: for a target, where the model is one.
        origin: its run directory or published folder; None for the authors' weights.
        report: what was loaded, for the user.
    """

    model: str
    network: NPR | NeuralJacobianFields
    templates: Mapping[str, MeshAsset]
    normalize: Normalize
    metadata: dict[str, str]
    refiner: PoseRefiner | None = None
    origin: Path | None = None
    report: str = ""


def load_network(name_or_path: str | Path, *, device: Device = None) -> PretrainedNetwork:
    """Load a pose network.

    Args:
        name_or_path: see `contrapposto.pretrained`; or the authors' checkpoint (.pth, .pt), or their experiment folder,
            whose last `checkpoints/*.pth` by name is taken.
        device: where it runs, see `contrapposto.devices.find_device`.

    Raises:
        MissingError, ConfigError, InputError: there is none, or the file is of another kind or damaged.
    """
    theirs = official_file(Path(name_or_path))
    if theirs is not None:
        network = NPR()
        report = f"{theirs.name}: {network.load_official(theirs)}"
        network = network.to(find_device(device))
        return PretrainedNetwork(
            "npr", network.eval(), {}, "unit_cube", {"source": "the authors' weights"}, report=report
        )
    return network_of(load_pretrained(name_or_path, MODELS), device=device)


def official_file(path: Path) -> Path | None:
    """The authors' file that a path means; None for models of this project."""
    if path.suffix in OFFICIAL_SUFFIXES:
        return path
    return max((path / "checkpoints").glob("*.pth"), default=None) if path.is_dir() else None


def network_of(trained: Pretrained, *, device: Device = None) -> PretrainedNetwork:
    """The network inside of a trained model of `MODELS`; `device` as in `load_network`."""
    place, options = find_device(device), trained.options
    name = "autoencoder_network" if trained.model in _LATER_STAGES else "network"
    network = build_network(trained.model, options.get(name))
    trained.load_into(network, "network.")
    refiner = None
    if trained.model == "npr_refiner":
        assert isinstance(network, NPR)
        refiner = PoseRefiner(network.encoder.width, **(options.get("network") or {}))
        trained.load_into(refiner, "refiner.")
        refiner = refiner.to(place)
    templates = {
        name: MeshAsset(parts["vertices"].numpy(), parts["faces"].numpy(), name=name)
        for name, parts in trained.checkpoint.get("templates", {}).items()
    }
    metadata = {key: str(trained.data[key]) for key in _METADATA if key in trained.data}
    report = f"network: {trained.file}, trained on {', '.join(templates) or 'no templates'}"
    normalize = options.get("normalize", "unit_cube")
    return PretrainedNetwork(
        trained.model,
        network.eval().to(place),
        templates,
        normalize,
        metadata,
        refiner,
        trained.origin,
        report,
    )


def build_network(model: str, options: Mapping[str, Any] | None) -> NPR | NeuralJacobianFields:
    """The network of a model of `MODELS` from the options of its training module."""
    kinds: dict[str, Any] = {
        "npr_residual": ResidualNPR,
        "npr_residual_diffusion": ResidualNPR,
        "njf": NeuralJacobianFields,
    }
    network: NPR | NeuralJacobianFields = kinds.get(model, NPR)(**(options or {}))
    return network
