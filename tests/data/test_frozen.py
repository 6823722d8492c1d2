"""Cached outputs of frozen networks: the right rows, made once, gone on with after a kill, shared by processes."""

import numpy as np
import pytest
import torch

from contrapposto.data import frozen
from contrapposto.data.frozen import WindowCache
from contrapposto.data.windows import WindowReader
from contrapposto.errors import InputError

LENGTHS = np.array([30, 3, 12, 50])
WINDOW = 5


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(frozen, "BLOCK", 16)


@pytest.fixture
def reader():
    rows = np.random.default_rng(0).normal(size=(LENGTHS.sum(), 2)).astype(np.float32)
    return WindowReader({"x": rows}, LENGTHS)


class Network:
    """Sum over a window, and its last frame's number; counts its windows and may stop like a killed process."""

    def __init__(self, stop_after=None):
        self.windows, self.stop_after = 0, stop_after

    def __call__(self, batch):
        self.windows += len(batch["x"])
        if self.stop_after is not None and self.windows > self.stop_after:
            raise KeyboardInterrupt
        return {"sum": batch["x"].sum(1).half(), "frame": batch["frames"]}


def build(folder, reader, network, **options):
    clips = np.array([0, 1, 3])
    return WindowCache.build(
        folder, "net", {"weights": "a"}, reader, clips, WINDOW, network, batch_size=7, **options
    )


def expected(reader, clip, start):
    return reader.read(np.array([clip]), np.array([start]), WINDOW)["x"][0].sum(0)


@pytest.mark.parametrize(
    ("options", "stride"), [({}, 1), ({"max_windows": 30}, 3), ({"max_bytes": 12 * 40}, 2)]
)
def test_every_window_has_its_own_row(tmp_path, reader, options, stride):
    cache = build(tmp_path, reader, Network(), **options)
    assert cache.stride == stride
    for clip in (0, 3):
        starts = np.arange(0, LENGTHS[clip] - WINDOW + 1, stride)
        rows = cache.read(np.full(len(starts), clip), starts)
        np.testing.assert_array_equal(rows["frame"], starts + WINDOW - 1)
        wanted = np.stack([expected(reader, clip, start) for start in starts])
        np.testing.assert_allclose(rows["sum"], wanted, rtol=2e-3, atol=2e-3)
    assert len(cache.arrays["sum"]) <= options.get("max_windows", 10**9)


def test_it_is_made_once_and_again_for_other_weights(tmp_path, reader):
    build(tmp_path, reader, Network())
    again = Network()
    build(tmp_path, reader, again)
    assert again.windows == 0
    other = Network()
    WindowCache.build(tmp_path, "net", {"weights": "b"}, reader, np.array([0]), WINDOW, other)
    assert other.windows > 26


def test_an_interrupted_one_goes_on_where_it_was(tmp_path, reader):
    whole = build(tmp_path / "whole", reader, Network())
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "killed", reader, Network(stop_after=50))
    network = Network()
    cache = build(tmp_path / "killed", reader, network)
    assert network.windows <= 72 - 32 + 1  # two blocks of 16 were finished; one window shows the shapes
    for name in whole.arrays:
        np.testing.assert_array_equal(cache.arrays[name], whole.arrays[name])


def test_processes_share_the_blocks(tmp_path, reader):
    whole = build(tmp_path / "one", reader, Network())
    # The second process does its blocks while the first waits at the barrier.
    second = Network()

    def barrier(done=[]):  # noqa: B006
        done.append(1)
        if len(done) == 1:
            maker = frozen._Maker(
                next((tmp_path / "two").glob("*.partial")), reader, np.array([0, 1, 3]), WINDOW, second, 7
            )
            maker.path = maker.path.with_name(maker.path.name.removesuffix(".partial"))
            maker.partial = maker.path.with_name(f"{maker.path.name}.partial")
            maker.plan(np.inf, None)
            maker.fill(1, 2, None)

    first = Network()
    cache = build(tmp_path / "two", reader, first, rank=0, world_size=2, barrier=barrier)
    assert first.windows + second.windows == 72 + 2 and second.windows > 16
    for name in whole.arrays:
        np.testing.assert_array_equal(cache.arrays[name], whole.arrays[name])


def test_a_damaged_one_is_refused(tmp_path, reader):
    cache = build(tmp_path, reader, Network())
    (cache.path / "sum.npy").write_bytes(b"rubbish")
    with pytest.raises(InputError, match="damaged"):
        build(tmp_path, reader, Network())


def test_outputs_come_as_the_function_gives_them(tmp_path, reader):
    cache = build(tmp_path, reader, Network())
    assert cache.arrays["sum"].dtype == np.float16 and cache.arrays["frame"].dtype == np.int64
    assert torch.from_numpy(cache.read(np.array([0]), np.array([0]))["sum"]).shape == (1, 2)
