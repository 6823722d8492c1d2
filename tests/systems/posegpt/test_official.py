"""Checkpoints in the original's layout: names and shapes of its published state dicts."""

import pytest
import torch

from contrapposto.errors import InputError
from contrapposto.systems.posegpt.classifier import PoseClassifier
from contrapposto.systems.posegpt.gpt import PoseGPT
from contrapposto.systems.posegpt.official import import_vqvae, load_official, read_vqvae
from contrapposto.systems.posegpt.vqvae import PoseVQVAE


def block_shapes(prefix, width):
    shapes = {}
    for name in ("ln1", "ln2"):
        shapes |= {f"{prefix}.{name}.weight": (width,), f"{prefix}.{name}.bias": (width,)}
    for name in ("key", "query", "value", "proj"):
        shapes |= {f"{prefix}.attn.{name}.weight": (width, width), f"{prefix}.attn.{name}.bias": (width,)}
    shapes |= {f"{prefix}.mlp.0.weight": (4 * width, width), f"{prefix}.mlp.0.bias": (4 * width,)}
    return shapes | {f"{prefix}.mlp.2.weight": (width, 4 * width), f"{prefix}.mlp.2.bias": (width,)}


def stack_shapes(prefix, width, layers, conv, taps):
    shapes = {f"{prefix}.ln_f.weight": (width,), f"{prefix}.ln_f.bias": (width,)}
    shapes |= {f"{prefix}.head.weight": (width, width)}
    shapes |= {f"{prefix}.{conv}.conv.weight": (width, width, taps), f"{prefix}.{conv}.conv.bias": (width,)}
    for index in range(layers):
        shapes |= block_shapes(f"{prefix}.blocks.{index}", width)
    return shapes


def vqvae_shapes(width=32, layers=2, taps=2, prefix=""):
    """Of CausalVQVAE with two layers, by the sheet's table; 55 joints, two books of 16 codes of 8 numbers."""
    shapes = {"emb.weight": (width, 333), "emb.bias": (width,)}
    shapes |= stack_shapes("encoder_stacks.0", width, layers, "down_conv", taps)
    shapes |= stack_shapes("decoder_stacks.0", width, layers, "up_conv", 3)
    shapes |= {"quant_emb.weight": (16, width), "quant_emb.bias": (16,)}
    shapes |= {"post_quant_emb.weight": (width, 16), "post_quant_emb.bias": (width,)}
    for head, size in (("reg_body", 330), ("reg_root", 3)):
        shapes |= {f"{head}.0.weight": (width, width), f"{head}.0.bias": (width,)}
        shapes |= {f"{head}.2.weight": (size, width), f"{head}.2.bias": (size,)}
    shapes |= {f"log_sigmas.{name}": (1,) for name in ("body", "root", "trans", "vert", "fast_vert")}
    shapes |= {f"quantizer.embeddings.{book}.weight": (16, 8) for book in range(2)}
    return {prefix + name: shape for name, shape in shapes.items()}


def gpt_shapes(width=32, layers=2):
    shapes = {"gpt.pos_emb": (1, 64, width), "gpt.tok_emb.weight": (34, width // 2)}
    shapes |= {"gpt.ln_f.weight": (width,), "gpt.ln_f.bias": (width,)}
    shapes |= {f"gpt.list_head.{book}.weight": (16, width) for book in range(2)}
    shapes |= {"gpt.fc_emb.weight": (width, 4 * width), "gpt.fc_emb.bias": (width,)}
    shapes |= {"action_emb.weight": (64, width), "seqlen_emb.weight": (1024, width)}
    for index in range(layers):
        shapes |= block_shapes(f"gpt.blocks.{index}", width)
    return shapes


def filled(shapes):
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def vqvae():
    return PoseVQVAE("causal", 55, 32, (0, 2), 4, num_codes=32, code_dim=16, block_size=64)


def gpt():
    return PoseGPT(vqvae(), width=32, num_layers=2, block_size=64, original_offsets=True)


def assert_holds(model, state):
    own = model.state_dict()
    for name, value in state.items():
        if name in own:
            assert torch.equal(own[name], value), name


def test_auto_encoder_file(tmp_path):
    state = filled(vqvae_shapes())
    state["encoder_stacks.0.blocks.0.attn.mask"] = torch.ones(1, 1, 64, 64).tril()
    state["log_sigmas.verts"] = state.pop("log_sigmas.vert")
    path = tmp_path / "ckpt_restart.pt"
    torch.save({"epoch": 3, "iter": 9, "model_state_dict": state, "optimizer_state_dict": {}}, path)
    model = vqvae()
    report = load_official(model, path)
    assert report.complete
    assert_holds(model, {name: value for name, value in state.items() if "verts" not in name})
    assert torch.equal(model.log_sigmas["vert"], state["log_sigmas.verts"])


def test_the_options_of_an_auto_encoder_follow_from_its_file(tmp_path):
    state = filled(vqvae_shapes())
    masks = [f"encoder_stacks.0.blocks.{block}.attn.mask" for block in range(2)]
    state |= {name: torch.ones(1, 1, 64, 64).tril() for name in masks}
    torch.save({"model_state_dict": state}, tmp_path / "a.pt")
    model, options = read_vqvae(tmp_path / "a.pt")
    assert_holds(model, state)
    sizes = {
        "num_joints": 55,
        "hidden": 32,
        "num_layers": [0, 2],
        "num_books": 2,
        "num_codes": 32,
        "code_dim": 16,
    }
    assert options == {"variant": "causal", **sizes}
    torch.save({"model_state_dict": {"emb.weight": torch.zeros(3, 9)}}, tmp_path / "a.pt")
    with pytest.raises(InputError, match="not an auto-encoder"):
        read_vqvae(tmp_path / "a.pt")


def test_older_files_lack_the_spreads():
    state = {name: value for name, value in filled(vqvae_shapes()).items() if "log_sigmas" not in name}
    model = vqvae()
    assert import_vqvae(model, state).complete
    assert all(float(value) == 0 for value in model.log_sigmas.values())


def test_generator_file_with_its_auto_encoder(tmp_path):
    state = filled(gpt_shapes() | vqvae_shapes(prefix="vqvae."))
    path = tmp_path / "best_val.pt"
    torch.save({"model_state_dict": state, "pve": 3.5}, path)
    model = gpt()
    assert load_official(model, path).complete
    assert_holds(model, state)
    assert set(state) <= set(model.state_dict())


def test_what_a_generator_does_not_use_is_left_out(tmp_path):
    state = filled(gpt_shapes())
    path = tmp_path / "gpt.pt"
    torch.save({"model_state_dict": state}, path)
    model = PoseGPT(
        num_codes=32, width=32, num_layers=2, block_size=64, actions=False, lengths=False, concatenate=False
    )
    assert load_official(model, path).complete
    assert "action_emb.weight" not in model.state_dict()


def test_classifier_file_with_a_prefix(tmp_path):
    shapes = {"emb.weight": (32, 168), "emb.bias": (32,), "proj.0.weight": (32, 32), "proj.0.bias": (32,)}
    shapes |= {"proj.2.weight": (60, 32), "proj.2.bias": (60,)}
    shapes |= stack_shapes("stack", 32, 2, "down_conv", 3)
    state = {f"classifier.{name}": value for name, value in filled(shapes).items()}
    state["classifier.bm.v_template"] = torch.zeros(4, 3)
    path = tmp_path / "best.pt"
    torch.save({"model_state_dict": state, "iter": 1}, path)
    model = PoseClassifier(60, 55, 32, 2, 4, block_size=64)
    assert load_official(model, path).complete
    assert torch.equal(model.emb.weight, state["classifier.emb.weight"])


def test_another_networks_file_is_refused_and_nothing_changes(tmp_path):
    state = filled(vqvae_shapes(width=16))
    path = tmp_path / "small.pt"
    torch.save({"model_state_dict": state}, path)
    model = vqvae()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(InputError, match="do not fit"):
        load_official(model, path)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_no_masks_or_tables_in_our_own_files():
    names = gpt().state_dict().keys()
    assert not [name for name in names if name.endswith((".mask", ".pe"))]
