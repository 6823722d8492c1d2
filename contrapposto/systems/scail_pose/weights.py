"""The networks that a user may add, and their download: contrapposto fetch scail-weights [folder=...] [only=[yolox]]"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from contrapposto.errors import ConfigError, InputError, MissingError
from contrapposto.files import need_space, sha256
from contrapposto.options import parse_value
from contrapposto.progress import Lines
from contrapposto.systems.scail_pose import validate as check

CATALOGUE = Path(__file__).with_name("weights.yaml")
FOLDER = "pretrained_weights"
ORIGINAL = ("yolox", "dwpose", "nlf")
HELP = """
contrapposto fetch scail-weights [folder=pretrained_weights] [only=[yolox,dwpose,nlf,blazepose_heavy]]

Downloads YOLOX, DWPose and NLF from their official places, resumes broken downloads, and checks every file's hash.
task=scail_pose uses them when all three are in the folder. only=[blazepose_heavy] is BlazePose's large network, for
task.module.estimator.network=heavy.
"""


@dataclass(frozen=True)
class ModelFile:
    """A file that the suite can use and may not ship.

    Attributes:
        place: below the folder of weights.
        task: what the network does.
        url: address. sha256: of the file. bytes: its size, about.
        source: where it comes from, for people.
        licence: of it.
    """

    place: str
    task: str
    url: str
    sha256: str
    bytes: int
    source: str
    licence: str


@cache
def model_files(catalogue: Path = CATALOGUE) -> Mapping[str, ModelFile]:
    """The files of the catalogue by name."""
    content = yaml.safe_load(catalogue.read_text(encoding="utf-8"))
    return {name: ModelFile(**entry) for name, entry in content.items()}


def model_path(name: str, folder: str | Path) -> Path:
    """The user's file.

    Raises:
        MissingError: it does not exist; the message states where it comes from and under which licence.
    """
    file = model_files()[name]
    path = Path(folder) / file.place
    if not path.is_file():
        raise MissingError(
            f"{path} does not exist: the network that {file.task}.",
            expected=f"the file from {file.source} ({file.licence})",
            fix=f"contrapposto fetch scail-weights folder={folder} only=[{name}], or what ships: "
            + ("estimator=blazepose" if name in ORIGINAL else "network=full"),
        )
    return path


def fetch_weights(
    folder: str | Path = FOLDER, names: Sequence[str] | None = None, catalogue: Path = CATALOGUE
) -> list[Path]:
    """Download files of the catalogue that the folder lacks, and check those that it has.

    Args:
        folder: for the files, laid out as the original's.
        names: which; None: the original's three.
        catalogue: YAML file with addresses, hashes and licences.

    Raises:
        ConfigError: an unknown name. MissingError: an address cannot be reached.
        InputError: a file has another hash, or the disk is full.
    """
    from contrapposto.data.download import download

    files = model_files(catalogue)
    chosen = check.words("only", ORIGINAL if names is None else names, files)
    missing = [name for name in chosen if not (Path(folder) / files[name].place).is_file()]
    need_space(folder, sum(files[name].bytes for name in missing), "the networks")
    progress, paths = Lines(), []
    for name in chosen:
        file = files[name]
        print(
            f"{name}: {file.place}, {file.bytes / 1e6:.0f} MB, from {file.source}\n  licence: {file.licence}",
            flush=True,
        )
        path = Path(folder) / file.place
        if path.is_file():
            _check(path, file)
        else:
            by_hand = f"save it as {path}"
            download(file.url, path, digest=file.sha256, progress=progress, by_hand=by_hand)
        paths.append(path)
    return paths


def _check(path: Path, file: ModelFile) -> None:
    """Refuse a user's file that is another one; it is left as it is."""
    digest = sha256(path)
    if digest != file.sha256:
        raise InputError(
            f"{path} is another file than that from {file.source}.",
            found=f"SHA-256 {digest}",
            expected=f"SHA-256 {file.sha256}",
            fix="nothing was changed: move the file away and repeat the command to download the official one",
        )


def main(arguments: Sequence[str]) -> int:
    """Run the command with `key=value` arguments."""
    if {"-h", "--help"} & set(arguments):
        print(HELP.strip())
        return 0
    options = {key: parse_value(value) for key, _, value in (one.partition("=") for one in arguments)}
    unknown = set(options) - {"folder", "only"}
    if unknown:
        raise ConfigError(f"There is no option {unknown.pop()}.", expected="folder, only")
    for path in fetch_weights(options.get("folder", FOLDER), options.get("only")):
        print(path)
    return 0
