"""Every writer on a disk that is too small: one clear error, nothing half-written, what was there stays."""

import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.faults import seeds
from contrapposto.errors import InputError
from contrapposto.files import write_json


@pytest.fixture(scope="module")
def full_disk(tmp_path_factory):
    """A file system without a free block."""
    place = tmp_path_factory.mktemp("disk")
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    with open(place / "filler", "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(1024))
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)  # tracebacks may hold files open


def result(folder: Path) -> None:
    write_json(folder / "result.json", {"text": "x" * 10_000})


WRITERS = {
    "npz": seeds.amass,
    "bvh": seeds.bvh,
    "glb": seeds.glb,
    "obj": seeds.obj,
    "ply": seeds.ply,
    "mesh_glb": seeds.sequence_glb,
    "device_csv": seeds.device_csv,
    "people": seeds.people,
    "nlfpred": seeds.nlfpred,
    "openpose": seeds.openpose,
    "weights": seeds.safetensors,
    "portable": seeds.portable,
    "checkpoint": seeds.checkpoint,
    "mesh_store": lambda folder: seeds.mesh_store(folder / "store"),
    "avatar_scene": lambda folder: seeds.avatar_scene(folder / "scene"),
    "h5": seeds.h5,
    "json": result,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_one_clear_error(name, full_disk):
    before = {path.name: path.stat().st_size for path in full_disk.iterdir()}
    with pytest.raises(InputError, match="disk is full"):
        WRITERS[name](full_disk)
    assert {path.name: path.stat().st_size for path in full_disk.iterdir()} == before
