"""Foreign pickles: what official body files hold is read, everything else is refused unexecuted."""

from __future__ import annotations

import os
import pickle
import pickletools
import sys
import types
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from contrapposto.body import load_body
from contrapposto.errors import InputError, MissingError
from contrapposto.pickles import read_pickle
from contrapposto.skeleton import SMPL24


class Trap:
    """Pickles into a call that makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def chumpy(monkeypatch: pytest.MonkeyPatch) -> dict[str, type]:
    """Classes named as chumpy's while a pickle is written; gone when it is read."""
    created = {}
    for module, name in (("chumpy.ch", "Ch"), ("chumpy.reordering", "Select"), ("chumpy.ch_ops", "add")):
        created[name] = type(name, (), {"__module__": module})
        monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
        setattr(sys.modules[module], name, created[name])
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    return created


def make(cls: type, **state: object) -> object:
    instance = cls()
    instance.__dict__.update(state)
    return instance


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_arrays_of_every_protocol(tmp_path: Path, protocol: int) -> None:
    content = {
        "floats": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "unsigned": np.array([2**32 - 1, 3], np.uint32),
        "scalar": np.float64(2.5),
        "big": np.arange(3, dtype=">i4"),
        "text": "lbs",
        "bytes": b"\xff\x00",
        "ordered": OrderedDict(a=1),
        "nested": [np.zeros(2), (1, None, True)],
    }
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    actual = read_pickle(path)
    for key in ("floats", "fortran", "unsigned", "big"):
        np.testing.assert_array_equal(actual[key], content[key])
        assert actual[key].dtype == content[key].dtype  # type: ignore[attr-defined]
    assert actual["scalar"] == 2.5 and actual["text"] == "lbs" and actual["bytes"] == b"\xff\x00"
    assert actual["ordered"] == {"a": 1} and actual["nested"][1] == [1, None, True]


def test_python2_strings_and_protocol_2_arrays(tmp_path: Path) -> None:
    # What Python 2 writes for {'J': array([1., 2.]), 's': 'm\xe9'}: 8-bit strings, old module names.
    raw = (
        b"\x80\x02}q\x00(U\x01Jcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
        b"K\x00tb\x89U\x10" + np.array([1.0, 2.0]).tobytes() + b"tbU\x01sU\x02m\xe9u."
    )
    pickletools.dis(raw, out=open(os.devnull, "w"))  # noqa: SIM115
    path = tmp_path / "two.pkl"
    path.write_bytes(raw)
    actual = read_pickle(path)
    np.testing.assert_array_equal(actual["J"], [1.0, 2.0])
    assert actual["s"] == "mé"


@pytest.mark.parametrize("kind", ["csc_matrix", "csr_matrix"])
def test_sparse_matrices_come_dense(tmp_path: Path, kind: str) -> None:
    matrix = getattr(scipy.sparse, kind)(scipy.sparse.random(24, 50, 0.1, random_state=0))
    path = tmp_path / "s.pkl"
    path.write_bytes(
        pickle.dumps(matrix, 2).replace(b"scipy.sparse._", b"scipy.sparse.")
    )  # names before SciPy 1.8
    np.testing.assert_array_equal(read_pickle(path), matrix.toarray())
    bad = matrix.copy()
    bad.indices = bad.indices + 1000
    path.write_bytes(pickle.dumps(bad))
    with pytest.raises(InputError, match="cannot be read"):
        read_pickle(path)


def test_chumpy_arrays_come_plain(tmp_path: Path, chumpy: dict[str, type]) -> None:
    values = np.arange(12.0).reshape(4, 3)
    inner = make(chumpy["Ch"], x=values, _dirty_vars=set(), _status="new")
    view = make(chumpy["Select"], a=inner, idxs=np.array([3, 4, 5]), preferred_shape=(1, 3))
    path = tmp_path / "c.pkl"
    path.write_bytes(pickle.dumps({"v": inner, "w": view}, 2))
    actual = read_pickle(path)
    np.testing.assert_array_equal(actual["v"], values)
    np.testing.assert_array_equal(actual["w"], [[3.0, 4.0, 5.0]])
    path.write_bytes(pickle.dumps(make(chumpy["add"], a=1, b=2), 2))
    with pytest.raises(InputError, match=r"chumpy\.ch_ops\.add"):
        read_pickle(path)


def test_an_official_pickle_makes_a_body(tmp_path: Path, chumpy: dict[str, type]) -> None:
    generator = np.random.default_rng(0)
    weights = generator.random((30, 24)) + 0.1
    regressor = generator.random((24, 30))
    arrays = {
        "v_template": make(chumpy["Ch"], x=generator.normal(size=(30, 3))),
        "shapedirs": make(chumpy["Ch"], x=generator.normal(size=(30, 3, 10))),
        "posedirs": generator.normal(size=(30, 3, 207)),
        "J_regressor": scipy.sparse.csc_matrix(regressor / regressor.sum(1, keepdims=True)),
        "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, *SMPL24.parents[1:]], range(24)], np.uint32),
        "f": np.zeros((4, 3), np.uint32),
        "bs_style": "lbs",
    }
    (tmp_path / "smpl").mkdir()
    (tmp_path / "smpl" / "SMPL_NEUTRAL.pkl").write_bytes(pickle.dumps(arrays, 2))
    body = load_body("smpl", path=tmp_path)
    np.testing.assert_allclose(body.v_template, arrays["v_template"].x, atol=1e-6)
    expected = arrays["J_regressor"] @ arrays["v_template"].x
    np.testing.assert_allclose(body.rest_joints()[0], expected, atol=1e-5)


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize("hidden", [False, True])
def test_nothing_is_executed(tmp_path: Path, protocol: int, hidden: bool) -> None:
    trap = Trap(tmp_path / "sprung")
    content = {"v_template": np.zeros((2, 3)), "x": [trap]} if hidden else trap
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(InputError, match=r"posix\.mkdir|nt\.mkdir"):
        read_pickle(path)
    with pytest.raises(InputError, match="nothing in it was executed"):
        load_body("smpl", path=path)
    assert not trap.path.exists()
    pickle.loads(path.read_bytes())  # the trap does work
    assert trap.path.exists()


@pytest.mark.parametrize(
    "raw",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cscipy.sparse\nload_npz\n(S'x'\ntR.",
        b"ccopyreg\n_reconstructor\n(cbuiltins\nobject\ncbuiltins\nobject\nNtR.",
        b"c_codecs\nencode\n(V" + b"a" * 10 + b"\nVzip\ntR.",
        b"(S'x'\nios\nsystem\n.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"\x82\x01.",
        b"P1\n.",
    ],
)
def test_other_names_are_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(raw)
    with pytest.raises(InputError):
        read_pickle(path)


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "o.pkl"
    path.write_bytes(pickle.dumps(np.array([{}, None], dtype=object)))
    with pytest.raises(InputError, match="objects"):
        read_pickle(path)


def test_broken_files_give_one_clear_error(tmp_path: Path) -> None:
    raw = pickle.dumps({"a": np.zeros(100)})
    path = tmp_path / "x.pkl"
    for broken in (b"", raw[:50], raw[:-300], b"hello", b"\x00" * 100, b"\x80\x04\x8e" + b"\xff" * 8):
        path.write_bytes(broken)
        with pytest.raises(InputError):
            read_pickle(path)
    deep = b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b"."
    path.write_bytes(deep)
    with pytest.raises(InputError, match="broken or far too large"):
        read_pickle(path)
    with pytest.raises(MissingError):
        read_pickle(tmp_path / "none.pkl")


def test_a_small_file_takes_little_memory(tmp_path: Path) -> None:
    """A few bytes that keep an object as number 2^30: Python would reserve memory for all numbers below."""
    path = tmp_path / "small.pkl"
    path.write_bytes(b"\x80\x02}r\xff\xff\xff\x3f.")
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="object 1073741823 is kept"):
        read_pickle(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes
