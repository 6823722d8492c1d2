"""What a task of `predict` is, and what most of them need: reading a clip, writing a motion in several formats."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from omegaconf import DictConfig, OmegaConf

from contrapposto.errors import ConfigError, InputError
from contrapposto.outputs import Outputs, existing_paths

if TYPE_CHECKING:
    from contrapposto.body import BodyModel
    from contrapposto.mesh import MeshAsset
    from contrapposto.motion import Motion

Texture = tuple[Path, Path | None]
FORMATS = ("npz", "bvh", "glb", "mp4")
"""What is written where nothing else is asked for."""
KNOWN = (*FORMATS, "pkl")
"""What can be asked for; `pkl` is SAGE's layout."""


class Task(Protocol):
    """A class whose constructor takes the options below `task:` and whose instances do the work.

    `needs_input` (a class attribute, true where it is missing) states whether `input=` must be set.
    """

    def __call__(self, config: DictConfig, source: Path, output: Path) -> Sequence[Path]:
        """Do the work.

        Args:
            config: the whole configuration: `input`, `output`, `paths`, and the task's own options beside `task`.
            source: `config.input` as a path.
            output: a folder, created where needed.

        Returns:
            The files that were written.
        """
        ...


def open_outputs(config: DictConfig, name: str = "", folder: Path | None = None) -> Outputs:
    """The output folder of a command, with its inputs and options; `name` and `folder` in place of the config's own."""
    options: Any = OmegaConf.to_container(config, resolve=True)
    task = options.get("task") or {}
    name = name or str(task.get("_target_", "task"))
    recorded = {
        key: value for key, value in options.items() if key not in ("paths", "chain", "needs", "overview")
    }
    inputs = existing_paths(options)
    output = Path(config.output)
    folder = folder or (output.parent if output.suffix.lower() == ".glb" else output)  # a file, of task=rig
    return Outputs(folder, name, inputs, recorded, overwrite=bool(config.get("overwrite")))


def endings(formats: Sequence[str]) -> tuple[str, ...]:
    """The suffixes of formats: `.npz` of npz.

    Raises:
        ConfigError: an unknown format.
    """
    unknown = [name for name in formats if name not in KNOWN]
    if unknown:
        raise ConfigError(f"Unknown format {unknown[0]!r}.", expected=", ".join(KNOWN))
    return tuple(f".{name}" for name in formats)


def write_formats(
    motion: Motion, stem: Path, formats: Sequence[str], names: str = "smplh", texture: Texture | None = None
) -> list[Path]:
    """Write a motion as `<stem>.<format>` for every format.

    Args:
        motion: the clip.
        stem: path without suffix.
        formats: of `KNOWN`.
        names: of the joints in BVH and GLB files.
        texture: an image, and the OBJ with its layout or None, for the figure in GLB files (`contrapposto.mesh.painted`).

    Raises:
        ConfigError: an unknown format. InputError: the texture cannot be used.
    """
    from contrapposto.body import clip_body
    from contrapposto.io import write_motion

    endings(formats)
    paths = [stem.with_name(f"{stem.name}.{name}") for name in formats]
    body = clip_body(motion) if {"glb", "mp4"} & set(formats) else None
    surface = None if texture is None or body is None else painted_body(body, *texture)
    for path in paths:
        options: dict[str, Any] = {"names": names} if path.suffix in (".bvh", ".glb") else {}
        options |= {"body": body} if path.suffix in (".glb", ".mp4") else {}
        options |= {"progress": True} if path.suffix == ".mp4" else {}
        options |= {"texture": surface} if path.suffix == ".glb" else {}
        write_motion(path, motion, **options)
    return paths


def painted_body(body: BodyModel, image: Path, layout: Path | str | None) -> MeshAsset:
    """The surface of a body with an image on it; see `contrapposto.mesh.painted`."""
    from contrapposto.mesh import MeshAsset
    from contrapposto.mesh.painted import painted

    vertices = body.rest_vertices()[0].double().cpu().numpy()
    return painted(MeshAsset(vertices, body.faces.cpu().numpy()), image, layout)


READING = ("up", "forward", "scale", "fps", "reference_frame", "joint_map", "asf", "clip")
"""Options of every task that say how its motion files are to be read; see `contrapposto.io.read_motion`."""


def stated_reading(config: DictConfig) -> AbstractContextManager[None]:
    """A context in which the options of `READING` that a command states count for every motion file it reads."""
    from contrapposto.io import stating

    return stating({name: config.get(name) for name in READING if config.get(name) is not None})


def read_clip(path: str | Path) -> Motion:
    """Read a motion file; its metadata then states where the clip comes from.

    Raises:
        InputError: no such file, or not one of a known format.
    """
    from contrapposto.io import read_motion

    path = Path(path)
    if not path.exists():
        raise InputError(f"There is no file {path}.")
    motion = read_motion(path)
    return replace(motion, metadata={**motion.metadata, "source": motion.metadata.get("source", path.name)})
