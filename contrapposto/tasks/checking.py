"""Every file that a command names is opened before its first long step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig

from contrapposto.errors import InputError

_OWN = "contrapposto."  # options of tasks of other packages may mean anything


def open_inputs(config: DictConfig) -> None:
    """Open what the options of a task name, where it would be opened late; a stage of a chain is checked the same way.

    Raises:
        InputError: a file that is not there, or cannot be used for its option.
    """
    target = str(config.task.get("_target_", ""))
    if not target.startswith(_OWN):
        return
    for option, check in _CHECKS.items():
        value = config.get(option)
        if option == "target" and target.endswith(".Retarget"):
            continue  # opens it first, as a skeleton: meshes in it do not matter
        if isinstance(value, str) and not value.startswith(("@", "hub:", "udp:")):
            check(Path(value))


def _mesh(path: Path) -> None:
    from contrapposto.mesh.files import check_mesh_name, read_mesh
    from contrapposto.tasks.npr_inputs import target_files

    if path.is_file() and path.suffix.lower() != ".json":  # a list of the original
        check_mesh_name(path)
    files = target_files(path)
    for number, file in enumerate(files, start=1):
        try:
            read_mesh(file)
            return
        except InputError:  # of a folder, one that can be used is enough
            if number == len(files):
                raise


def _motion(path: Path) -> None:
    from contrapposto.tasks.anerf_inputs import clip_path
    from contrapposto.tasks.base import read_clip

    read_clip(clip_path(str(path)))


def _image(path: Path) -> None:
    from contrapposto.systems.scail_pose.extract import read_image

    if not path.is_dir():  # one for each video
        read_image(path)


def _masks(path: Path) -> None:
    from contrapposto.systems.anerf.data.masks import read_mask

    images = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else []
    if not images:
        raise InputError(f"There are no masks in {path}.", expected="a folder with an image for every frame")
    read_mask(images[0])


def _there(path: Path) -> None:
    if not path.exists():
        raise InputError(f"There is no file {path}.")


_CHECKS: dict[str, Callable[[Path], None]] = {
    "video": _there,
    "poses": _there,
    "masks": _masks,
    "past": _motion,
    "motion": _motion,
    "truth": _motion,
    "reference": _image,
    "target": _mesh,
}
