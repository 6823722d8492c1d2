"""Portable checkpoints: what goes in comes out, halves where halves suffice, and nothing damaged gets through."""

import json

import pytest
import torch
from safetensors.torch import save_file

from contrapposto.errors import InputError
from contrapposto.portable import load_portable, save_portable


def test_a_tree_comes_back(tmp_path):
    content = {
        "state_dict": {"a.weight": torch.linspace(-3, 3, 7), "count": torch.tensor([70_000])},
        "hyper_parameters": {
            "width": 8,
            "rates": [0.1, None],
            "names": {"walk": [1, 2]},
            "on": True,
            "text": "tensor",
        },
        "empty": {},
    }
    file = tmp_path / "c.safetensors"
    save_portable(file, content)
    back = load_portable(file)
    assert back["hyper_parameters"] == content["hyper_parameters"] and back["empty"] == {}
    assert torch.equal(back["state_dict"]["count"], torch.tensor([70_000]))
    expected = torch.linspace(-3, 3, 7).half().float()
    assert back["state_dict"]["a.weight"].dtype == torch.float32
    assert torch.equal(back["state_dict"]["a.weight"], expected)


def test_half_is_half_as_large_and_large_numbers_stay_whole(tmp_path):
    weights = {"w": torch.randn(1000, 100)}
    save_portable(tmp_path / "half.safetensors", weights)
    save_portable(tmp_path / "full.safetensors", weights, half=False)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("half", "full")]
    assert sizes[0] < 0.51 * sizes[1]
    save_portable(tmp_path / "large.safetensors", {"w": torch.tensor([1e6, 0.1])})
    assert torch.equal(load_portable(tmp_path / "large.safetensors")["w"], torch.tensor([1e6, 0.1]))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(TypeError, match="object cannot be stored"):
        save_portable(tmp_path / "x.safetensors", {"a": object()})
    assert not list(tmp_path.iterdir())
    save_file({"a": torch.zeros(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(InputError, match="not a checkpoint of this suite"):
        load_portable(tmp_path / "foreign.safetensors")
    save_portable(tmp_path / "c.safetensors", {"a": torch.zeros(300)})
    whole = (tmp_path / "c.safetensors").read_bytes()
    (tmp_path / "c.safetensors").write_bytes(whole[:-100])
    with pytest.raises(InputError, match="cannot be read"):
        load_portable(tmp_path / "c.safetensors")
    save_file(
        {"a": torch.zeros(3)},
        tmp_path / "tree.safetensors",
        {"contrapposto": json.dumps({"map": {"b": {"tensor": "b"}}})},
    )
    with pytest.raises(InputError, match="cannot be read"):
        load_portable(tmp_path / "tree.safetensors")


def test_eight_bits_are_near_and_small(tmp_path):
    """Every number is within half a step of its row's scale; small tensors and counts stay exact."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(100, 64, generator=generator) * torch.logspace(-3, 3, 100)[:, None]
    convolution = torch.randn(64, 40, 3, generator=generator)
    content = {
        "w": matrix,
        "conv": convolution,
        "bias": torch.randn(64, generator=generator),
        "n": torch.arange(9000),
    }
    save_portable(tmp_path / "a.safetensors", content, eight_bits=True)
    loaded = load_portable(tmp_path / "a.safetensors")
    step = matrix.abs().amax(1, keepdim=True) / 127
    assert ((loaded["w"] - matrix).abs() <= 0.501 * step).all()
    assert (loaded["conv"] - convolution).abs().max() < 0.02 and loaded["conv"].shape == convolution.shape
    assert torch.equal(loaded["n"], content["n"]) and (loaded["bias"] - content["bias"]).abs().max() < 2e-3
    save_portable(tmp_path / "b.safetensors", {"w": matrix})
    save_portable(tmp_path / "c.safetensors", {"w": matrix}, eight_bits=True)
    assert (tmp_path / "c.safetensors").stat().st_size < 0.6 * (tmp_path / "b.safetensors").stat().st_size
