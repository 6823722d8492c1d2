"""Reading weights: layouts, hostile and damaged files, the importer's report."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from contrapposto.errors import InputError, MissingError
from contrapposto.nn.attention import SelfAttention
from contrapposto.nn.stacks import Stack
from contrapposto.weights import (
    import_official,
    load_file_safely,
    load_official_state_dict,
    load_state_dicts,
    save_weights,
)


def state(seed=0):
    torch.manual_seed(seed)
    return {"a.weight": torch.randn(3, 2), "a.bias": torch.randn(3)}


def same(actual, expected):
    assert set(actual) == set(expected)
    assert all(torch.equal(actual[name], expected[name]) for name in expected)


@pytest.mark.parametrize("old_format", [False, True])
def test_layouts_of_the_originals(tmp_path, old_format):
    optimizer = {"state": {}, "param_groups": [{"lr": 1e-4}]}
    layouts = {
        "bare": (OrderedDict(state()), {"": state()}),
        "checkpoint": ({"epoch": 3, "state_dict": state(), "optimizer": optimizer}, {"": state()}),
        "lucky": (
            {"model_state_dict": state(), "optimizer_state_dict": optimizer, "pve": np.float64(3)},
            {"": state()},
        ),
        "parallel": ({"module." + name: value for name, value in state().items()}, {"": state()}),
        "stages": (
            {
                "epoch": 1,
                "upper_state_dict": state(1),
                "lower_state_dict": state(2),
                "decoder_state_dict": state(3),
            },
            {"upper": state(1), "lower": state(2), "decoder": state(3)},
        ),
    }
    for name, (content, expected) in layouts.items():
        path = tmp_path / f"{name}.pth.tar"
        torch.save(content, path, _use_new_zipfile_serialization=not old_format)
        actual = load_state_dicts(path)
        assert set(actual) == set(expected), name
        for key in expected:
            same(actual[key], expected[key])
    same(load_official_state_dict(tmp_path / "checkpoint.pth.tar"), state())
    same(load_official_state_dict(tmp_path / "stages.pth.tar", "lower"), state(2))
    with pytest.raises(InputError, match="several") as error:
        load_official_state_dict(tmp_path / "stages.pth.tar")
    assert "decoder" in str(error.value)


def test_numpy_values_beside_the_tensors_are_read(tmp_path):
    path = tmp_path / "best.pt"
    content = {
        "model_state_dict": state(),
        "balance_stats": {0: np.ones(4), 1: np.arange(3, dtype=np.float32)},
        "best": np.float32(0.5),
        "iter": np.int64(7),
        "flag": np.bool_(True),
    }
    torch.save(content, path)
    actual = load_file_safely(path)
    assert actual["best"] == 0.5
    assert actual["iter"] == 7
    np.testing.assert_array_equal(actual["balance_stats"][1], np.arange(3))


class Bomb:
    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return os.system, (f"touch '{self.target}'",)


@pytest.mark.parametrize("kind", ["zip", "old", "plain pickle", "numpy object"])
def test_a_malicious_file_does_not_run(tmp_path, kind):
    path, target = tmp_path / "weights.pth.tar", tmp_path / "executed"
    content = {"state_dict": {**state(), "x": Bomb(target)}}
    if kind == "plain pickle":
        path.write_bytes(pickle.dumps(content))
    elif kind == "numpy object":
        torch.save({"state_dict": state(), "y": np.array([Bomb(target)], dtype=object)}, path)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(InputError) as error:
        load_state_dicts(path)
    assert not target.exists()
    assert "executed" in str(error.value)
    if kind in ("zip", "old"):
        assert "system" in str(error.value)  # what it wanted to run is named
    # The bomb is live: an ordinary load would have run it.
    with open(path, "rb") as file:
        data = file if kind == "plain pickle" else None
        pickle.load(data) if data else torch.load(path, weights_only=False)
    assert target.exists()


def test_damaged_and_foreign_files_give_one_clear_error(tmp_path):
    good = tmp_path / "good.pt"
    torch.save(state(), good)
    data = good.read_bytes()
    bad = {
        "empty.pt": b"",
        "truncated.pt": data[: len(data) // 2],
        "text.pt": b"hello",
        "empty.safetensors": b"",
        "huge_header.safetensors": (2**62).to_bytes(8, "little") + b"{}",
        "text.safetensors": b"hello, these are no tensors",
    }
    for name, content in bad.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"weights|damaged"):
            load_file_safely(path)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(InputError):
        load_file_safely(tmp_path / "other.zip")
    with pytest.raises(MissingError):
        load_file_safely(tmp_path / "absent.pt")
    torch.save({"epoch": 3, "note": "no weights here"}, tmp_path / "none.pt")
    with pytest.raises(InputError, match="no state dict"):
        load_state_dicts(tmp_path / "none.pt")


def test_safetensors_round_trip_with_metadata(tmp_path):
    from safetensors import safe_open

    path = tmp_path / "model.safetensors"
    save_weights(path, state(), {"licence": "CC0"})
    same(load_official_state_dict(path), state())
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"licence": "CC0"}
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_report_names_every_problem_and_leaves_the_model_alone():
    model = nn.ModuleDict({"a": nn.Linear(2, 3), "b": nn.Linear(4, 4)})
    before = {name: value.clone() for name, value in model.state_dict().items()}
    file = {
        "a.weight": torch.full((3, 2), torch.nan),
        "a.bias": torch.zeros(5),
        "b.weight": torch.zeros(4, 4),
        "c.weight": torch.zeros(1),
    }
    with pytest.raises(InputError) as error:
        import_official(model, file)
    text = str(error.value)
    for part in (
        "missing from the file (1): b.bias",
        "unknown to the model (1): c.weight",
        "not finite (1): a.weight",
    ):
        assert part in text
    assert "a.bias: file (5,), model (3,)" in text
    same(dict(model.state_dict()), before)
    report = import_official(model, file, strict=False)
    assert not report.complete
    assert report.matched == ("a.weight", "b.weight")
    assert float(model["b"].weight.detach().abs().sum()) == 0


def test_options_of_the_importer():
    model = nn.ModuleDict({"a": nn.Linear(2, 3), "b": nn.Linear(4, 4)})
    file = {f"net.{name}": value for name, value in state().items()} | {"extra.x": torch.zeros(1)}
    report = import_official(model, file, rename={"net.": ""}, ignore=["extra.*"], optional=["b.*"])
    assert report.complete
    assert torch.equal(model["a"].bias.detach(), state()["a.bias"])
    assert str(report) == "2 tensors matched, 0 built by the model"


def test_built_buffers_are_compared_not_loaded():
    stack = Stack(2, 16, 2, causal=True, block_size=8)
    file = dict(stack.state_dict())
    assert import_official(stack, file).constructed["pos.1.pe"] == 0
    # The original's causal masks are not part of our networks.
    mask = torch.ones(1, 1, 8, 8).tril()
    file |= {"blocks.0.attn.mask": mask, "blocks.1.attn.mask": mask}
    report = import_official(stack, file)
    assert report.complete
    assert report.constructed["blocks.1.attn.mask"] == 0
    assert "4 built by the model" in str(report)
    with pytest.raises(InputError, match=r"different in the file.*attn\.mask"):
        import_official(stack, file | {"blocks.0.attn.mask": torch.ones(1, 1, 8, 8)})
    with pytest.raises(InputError, match=r"different in the file.*pos\.0\.pe"):
        import_official(stack, file | {"pos.0.pe": file["pos.0.pe"] + 0.1})
    without = {name: value for name, value in file.items() if not name.endswith((".pe", ".mask"))}
    assert import_official(stack, without).constructed["pos.0.pe"] is None


def test_trained_tables_are_loaded():
    stack = Stack(1, 16, 2, positions="sine_ft", block_size=8)
    file = dict(stack.state_dict()) | {"pos.0.pe": torch.ones(1, 8, 16)}
    import_official(stack, file)
    assert float(stack.pos[0].pe.detach().mean()) == 1


def test_masks_of_the_original_are_accepted_by_plain_loading():
    attention = SelfAttention(8, 2, causal=True)
    attention.load_state_dict({**attention.state_dict(), "mask": torch.ones(1, 1, 4, 4).tril()})
