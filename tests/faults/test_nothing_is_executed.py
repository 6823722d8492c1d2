"""Every reader, with a trap in the place of each file and of each array, text and tensor in it: none is sprung."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch

from benchmarks.faults.fuzz import attempt, seed_files, write_files
from benchmarks.faults.readers import READERS

TARGET = "contrapposto_trap"  # below the working folder of the test


class Trap:
    """Unpickles into a call that makes a folder."""

    def __reduce__(self):
        return os.mkdir, (TARGET,)


def object_array():
    array = np.empty((), dtype=object)
    array[()] = Trap()
    return array


def traps(data):
    """The ways in which a file could make its reader run something."""
    yield pickle.dumps(Trap())
    yield pickle.dumps({"state_dict": {"x": Trap()}}, 2)
    buffer = io.BytesIO()
    np.save(buffer, object_array(), allow_pickle=True)
    hostile_array = buffer.getvalue()
    yield hostile_array
    for new in (True, False):
        buffer = io.BytesIO()
        torch.save({"state_dict": {"x": Trap()}}, buffer, _use_new_zipfile_serialization=new)
        yield buffer.getvalue()
    yield f"name: !!python/object/apply:os.mkdir [{TARGET}]\n".encode()
    yield f"name: ${{oc.env:X,${{eval:__import__('os').mkdir('{TARGET}')}}}}\n".encode()
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        for name in members:
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                for other, content in members.items():
                    hostile = hostile_array if name.endswith(".npy") else pickle.dumps(Trap())
                    archive.writestr(other, hostile if other == name else content)
            yield buffer.getvalue()


@pytest.mark.parametrize("name", [name for name in READERS if name not in ("video", "gif")])
def test_no_trap_is_sprung(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = seed_files(READERS[name])
    for file, data in list(files.items())[:4]:
        for number, hostile in enumerate(traps(data)):
            write_files(tmp_path / "case", {**files, file: hostile})
            assert attempt(READERS[name], tmp_path / "case") in ("read", "refused"), (file, number)
            assert not (tmp_path / TARGET).exists(), (file, number)


def test_the_traps_are_live(tmp_path, monkeypatch):
    """An ordinary load springs them."""
    monkeypatch.chdir(tmp_path)
    loads = (pickle.loads, pickle.loads, lambda data: np.load(io.BytesIO(data), allow_pickle=True))
    unsafe = lambda data: torch.load(io.BytesIO(data), weights_only=False)  # noqa: E731
    for load, hostile in zip((*loads, unsafe, unsafe), traps(b"")):
        load(hostile)
        (tmp_path / TARGET).rmdir()
