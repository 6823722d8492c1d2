"""The authors' released weights: where they lie in the unpacked archives, and which variant they are.

See docs/specs/sage.md, section 7.

An archive unpacks to `outputs/<stage>/best.pth.tar`. The stages' folders are `upper_vqvae`, `lower_vqvae`, `decoder`,
`refiner` in Setting 1; `body_vqvae_upper_FULL`, `body_vqvae_lower_FULL`, `decoder_FULL`, `refiner_FULL` in Setting 2;
the same with `_full_rand0` in Setting 3. The first and second stage have no files: both are in the decoder's.
"""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from torch import nn

from contrapposto.errors import InputError, MissingError
from contrapposto.systems.sage.decoder import Refiner
from contrapposto.systems.sage.joints import PART_JOINTS, Part
from contrapposto.systems.sage.vqvae import SageVQVAE
from contrapposto.weights import ImportReport, StateDict, import_official, load_state_dicts

STAGES = ("decoder", "refiner", "upper_vqvae", "lower_vqvae")
# By preference: the released file; what the authors' training writes besides.
_FILES = ("best.pth.tar", "checkpoint.pth.tar")
_FOLDERS = {
    "decoder": re.compile(r"decoder(_.*)?"),
    "refiner": re.compile(r"refiner(_.*)?"),
    "upper_vqvae": re.compile(r"upper_vqvae(_.*)?|body_vqvae_upper(_.*)?"),
    "lower_vqvae": re.compile(r"lower_vqvae(_.*)?|body_vqvae_lower(_.*)?"),
}


@dataclass(frozen=True)
class OfficialFiles:
    """Released files of one setting; None where there is no such file.

    Args:
        decoder: both diffusions and the decoder.
        refiner: the refiner.
        upper_vqvae, lower_vqvae: the auto-encoders.
        path: where they were looked for.
    """

    decoder: Path | None
    refiner: Path | None
    upper_vqvae: Path | None
    lower_vqvae: Path | None
    path: Path

    def need(self, *stages: str) -> list[Path]:
        """The files of these stages.

        Raises:
            MissingError: one is not there; states what was looked for.
        """
        lacking = [stage for stage in stages if getattr(self, stage) is None]
        if lacking:
            there = [f"{f.name}: {getattr(self, f.name)}" for f in fields(self) if f.name in STAGES]
            raise MissingError(
                f"The authors' weights in {self.path} lack the {' and the '.join(lacking)}.",
                found="; ".join(line for line in there if not line.endswith("None"))
                or "none of the four files",
                expected=", ".join(f"{_pattern(stage)}/best.pth.tar" for stage in lacking),
                fix="give the folder that the released archive of one setting unpacks to (outputs, or above it)",
            )
        return [getattr(self, stage) for stage in stages]


def is_official(path: str | Path) -> bool:
    """Whether a path is a file or folder of the authors, rather than a model of this project."""
    path = Path(path)
    if path.is_dir():
        return not ((path / "config.yaml").is_file() or (path / "checkpoints").is_dir())
    return path.is_file() and path.name in _FILES


def find_files(path: str | Path) -> OfficialFiles:
    """Find the files of one setting.

    Args:
        path: the unpacked `outputs` folder or one above it; the folder of one stage, whose setting is then taken; or one
            file, whose stage follows from its content; its neighbours are used if it lies where it was unpacked.

    Raises:
        MissingError: nothing is there, or no such file in it.
        InputError: files of several settings, or an archive that is not unpacked.
    """
    path = Path(path)
    if not path.exists():
        raise MissingError(
            f"There is nothing at {path}.", expected="the unpacked archive of the authors' weights"
        )
    if path.is_file():
        return _around_file(path)
    stage = _stage_of(path.name)
    if stage and _file_in(path):
        return _collect(_stage_folders(path.parent), _setting(path.name), path)
    folders = [folder for folder in (path, *sorted(path.rglob("*"))) if folder.is_dir()]
    settings = {(f.parent, _setting(f.name)) for f in folders if _stage_of(f.name) and _file_in(f)}
    if not settings:
        raise MissingError(
            f"There are no weights of the authors in {path}.",
            expected=", ".join(f"{_pattern(name)}/best.pth.tar" for name in STAGES),
            fix="give the folder that the released archive unpacks to (outputs, or above it)",
        )
    if len(settings) > 1:
        names = sorted(str(parent / f"decoder{setting}") for parent, setting in settings)
        raise InputError(
            f"{path} holds weights of several settings.",
            found=f"{len(settings)} sets",
            expected="one",
            fix="name a folder of one setting: official=" + " or official=".join(names),
        )
    ((parent, setting),) = settings
    return _collect(_stage_folders(parent), setting, path)


def refiner_layers(state: StateDict) -> int:
    """Layers of the recurrent network: 2, or 3 in Setting 3."""
    return len({name for name in state if re.fullmatch(r"refine_net\.weight_ih_l\d+", name)})


def vqvae_layers(state: StateDict) -> tuple[int, int]:
    """Blocks of encoder and decoder: 4 and 4, or 6 and 6 in Settings 2 and 3."""

    def count(stack: str) -> int:
        matches = (re.match(rf"{stack}_stacks\.0\.blocks\.(\d+)\.", name) for name in state)
        return len({match[1] for match in matches if match})

    return count("encoder"), count("decoder")


def load_vqvae(
    path: Path, part: Part, options: Mapping[str, Any] | None = None
) -> tuple[SageVQVAE, ImportReport]:
    """An auto-encoder of the file's sizes (all but the number of heads), in evaluation mode.

    Args:
        path: `.../best.pth.tar`.
        part: `upper` or `lower`.
        options: of `SageVQVAE`; the sizes are replaced.

    Raises:
        MissingError, InputError: see `contrapposto.weights`.
    """
    state = _only_state(path)
    network = SageVQVAE(part, **{**(options or {}), **_vqvae_sizes(state)})
    return network.eval(), import_official(network, state)


def load_refiner(path: Path, options: Mapping[str, Any] | None = None) -> tuple[Refiner, ImportReport]:
    """The refiner, with as many layers as the file has.

    Args:
        path: a bare state dict (released) or `{epoch, state_dict}` (the authors' training).
        options: of `Refiner`; `layers` is replaced.

    Raises:
        MissingError, InputError: see `contrapposto.weights`.
    """
    state = _only_state(path)
    network = Refiner(**{**(options or {}), "layers": refiner_layers(state) or 2})
    return network, import_official(network, state)


def import_decoder(path: Path, networks: Mapping[str, nn.Module]) -> dict[str, ImportReport]:
    """Load some of the decoder file's networks.

    Args:
        path: of the decoder stage.
        networks: by `first`, `second`, `decoder`.

    Raises:
        MissingError, InputError: see `contrapposto.weights`.
    """
    names = {"first": "upper", "second": "lower", "decoder": "decoder"}
    states = load_state_dicts(path)
    if not set(names.values()) <= set(states):
        raise InputError(
            f"{path} is not the decoder's file.",
            found=f"state dicts {', '.join(name or '(unnamed)' for name in states)}",
            expected="upper, lower and decoder",
        )
    return {name: import_official(network, states[names[name]]) for name, network in networks.items()}


def stage_of_file(path: Path) -> str:
    """Which stage a file belongs to, by its content.

    Raises:
        InputError: none of them.
    """
    states = load_state_dicts(path)
    if {"upper", "lower", "decoder"} <= set(states):
        return "decoder"
    state = states.get("", {})
    if "refine_net.weight_ih_l0" in state:
        return "refiner"
    if "reg_body.2.weight" in state and "quant_emb.weight" in state:
        size = state["reg_body.2.weight"].shape[0]
        for part in PART_JOINTS:
            if size == 6 * len(PART_JOINTS[part]):
                return f"{part}_vqvae"
    raise InputError(
        f"{path} is none of the authors' four files.",
        found=f"state dicts {', '.join(name or '(unnamed)' for name in states)} with keys like {next(iter(state), '-')}",
        expected="decoder (upper, lower and decoder in one), refiner, upper or lower VQ-VAE",
    )


def _around_file(path: Path) -> OfficialFiles:
    if _is_archive(path):
        raise InputError(f"{path} is an archive.", fix="unpack it and give the folder")
    stage, folder = stage_of_file(path), path.parent
    known = _stage_of(folder.name) == stage
    files = vars(_collect(_stage_folders(folder.parent), _setting(folder.name), path)) if known else {}
    return OfficialFiles(**{**dict.fromkeys(STAGES), **files, stage: path, "path": path})


def _is_archive(path: Path) -> bool:
    """Whether a file has to be unpacked first. What torch.save writes is itself a zip file."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return not any(name.endswith("data.pkl") for name in archive.namelist())
    return tarfile.is_tarfile(path) or path.suffix in (".7z", ".rar")


def _collect(folders: Mapping[tuple[str, str], Path], setting: str, path: Path) -> OfficialFiles:
    files = {stage: folders.get((stage, setting)) for stage in STAGES}
    return OfficialFiles(**{stage: _file_in(f) if f else None for stage, f in files.items()}, path=path)


def _stage_folders(parent: Path) -> dict[tuple[str, str], Path]:
    """(stage, setting) to folder."""
    folders: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for folder in sorted(parent.iterdir()):
        stage = _stage_of(folder.name)
        if stage and folder.is_dir() and _file_in(folder):
            folders[stage, _setting(folder.name)].append(folder)
    for (stage, _), several in folders.items():
        if len(several) > 1:
            raise InputError(
                f"There are several folders of the {stage} in {parent}.",
                found=", ".join(f.name for f in several),
            )
    return {key: several[0] for key, several in folders.items()}


def _stage_of(name: str) -> str | None:
    return next((stage for stage, pattern in _FOLDERS.items() if pattern.fullmatch(name)), None)


def _setting(name: str) -> str:
    """What the folders of a setting end in: nothing, `_FULL`, `_full_rand0`."""
    return re.sub(r"^(decoder|refiner|upper_vqvae|lower_vqvae|body_vqvae_(upper|lower))", "", name)


def _file_in(folder: Path) -> Path | None:
    return next((folder / name for name in _FILES if (folder / name).is_file()), None)


def _pattern(stage: str) -> str:
    body = f" or body_vqvae_{stage.split('_')[0]}*" if stage.endswith("vqvae") else ""
    return f"{stage}*{body}"


def _vqvae_sizes(state: StateDict) -> dict[str, Any]:
    """Options of `SageVQVAE` that the shapes of its weights tell; none where it is something else."""
    codebooks = [
        value for name, value in state.items() if re.fullmatch(r"quantizer\.embeddings\.\d+\.weight", name)
    ]
    if not codebooks or "quant_emb.weight" not in state:
        return {}
    code_dim, hidden = state["quant_emb.weight"].shape
    codes = sum(len(book) for book in codebooks)
    sizes = {"hidden": hidden, "code_dim": code_dim, "num_books": len(codebooks), "num_codes": codes}
    return {**sizes, "num_layers": vqvae_layers(state)}


def _only_state(path: Path) -> StateDict:
    states = load_state_dicts(path)
    if len(states) != 1:
        raise InputError(
            f"{path} holds several networks.", found=", ".join(states), expected="one state dict"
        )
    return next(iter(states.values()))
