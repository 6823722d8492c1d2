"""`contrapposto doctor`: versions, devices, optional packages, assets and data on one page."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

from contrapposto import __version__
from contrapposto.files import ASSETS

CORE = (
    "torch numpy scipy pytorch-lightning torchmetrics hydra-core omegaconf einops wandb safetensors warp-lang "
    "cholespy imageio-ffmpeg av"
).split()
OPTIONAL = {
    "viser": "contrapposto view; pip install viser",
    "smplx": "official body models; pip install smplx",
    "wandb-workspaces": "the wandb dashboard; pip install wandb-workspaces",
}


def report(stores: Path = Path("stores")) -> str:
    """Text for a bug report; it contains nothing that names the user."""
    sections = {
        "Versions": _versions(),
        "Devices": _devices(),
        "Optional parts": _optional(),
        "Assets": _assets(),
        "Body models": _body_models(),
        "Data": _data(stores),
    }
    lines = []
    for title, rows in sections.items():
        lines.append(title)
        lines += [f"  {name:<20} {value}" for name, value in rows]
    return "\n".join(lines)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _versions() -> Iterator[tuple[str, str]]:
    yield "contrapposto", __version__
    yield "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    for package in CORE:
        yield package, _version(package) or "MISSING: run `make setup`"


def _devices() -> Iterator[tuple[str, str]]:
    import torch

    from contrapposto.devices import describe_device, find_device

    yield "cpu", f"{os.cpu_count()} logical, torch uses {torch.get_num_threads()} threads"
    yield "memory", f"{_memory_gib():.0f} GiB"
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            yield f"cuda:{index}", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    else:
        yield "cuda", f"none seen by torch {torch.__version__}"
    yield "device=auto", describe_device(find_device("auto"))
    if torch.backends.mps.is_available():
        yield "mps", "available"
    yield "disk", f"{shutil.disk_usage(Path.cwd()).free / 2**30:.0f} GiB free here"


def _memory_gib() -> float:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError, AttributeError):  # Windows
        return float("nan")


def _optional() -> Iterator[tuple[str, str]]:
    for package, purpose in OPTIONAL.items():
        yield package, _version(package) or f"not installed ({purpose})"
    from contrapposto.render.backends import BACKENDS, INSTALL, why_not_loaded

    for backend in BACKENDS[1:]:
        why = why_not_loaded(backend)
        yield backend, f"{why}; {INSTALL[backend]}" if why else "loads (image back-end for CUDA devices)"


def _assets() -> Iterator[tuple[str, str]]:
    for folder in sorted(path for path in ASSETS.iterdir() if path.is_dir()):
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        yield folder.name, f"{size / 2**20:.1f} MiB"


def _body_models() -> Iterator[tuple[str, str]]:
    from contrapposto.body import load_body
    from contrapposto.errors import ContrappostoError

    for layout in ("smpl", "smplh", "smplx"):
        for gender in ("neutral", "male", "female"):
            try:
                body = load_body(layout, gender=gender)
            except ContrappostoError:
                continue
            yield f"{layout} {gender}", f"{body.name}, {len(body.faces)} faces"


def _data(stores: Path) -> Iterator[tuple[str, str]]:
    folders = sorted(path.parent for path in stores.glob("*/manifest.json"))
    if not folders:
        yield "stores", f"none in {stores}/; python prepare.py data=demo makes the first"
    for folder in folders:
        yield folder.name, _store(folder)


def _store(folder: Path) -> str:
    """Content of a store, or its error."""
    from contrapposto.data.store import MotionStore
    from contrapposto.errors import ContrappostoError
    from contrapposto.systems.anerf.data.scene import SCHEMA as SCENE
    from contrapposto.systems.anerf.data.scene import AvatarScene
    from contrapposto.systems.npr.data.mesh_store import SCHEMA as MESHES
    from contrapposto.systems.npr.data.mesh_store import MeshStore

    try:
        schema = json.loads((folder / "manifest.json").read_text(encoding="utf-8")).get("schema")
        if schema == MESHES:
            identities = MeshStore.open(folder).identities
            return f"{len(identities)} meshes, {sum(len(one.poses) for one in identities)} poses"
        if schema == SCENE:
            scene = AvatarScene.open(folder)
            return f"{scene.num_images} images, {scene.num_poses} poses, {scene.num_cameras} cameras"
        clips = MotionStore.open(folder).clips
    except (ContrappostoError, OSError, ValueError, AttributeError, RecursionError) as error:
        return getattr(error, "what", f"{folder / 'manifest.json'} cannot be read.")
    return f"{len(clips)} clips, {sum(clip.frames / clip.fps for clip in clips) / 60:.1f} min"


if __name__ == "__main__":
    print(report())
