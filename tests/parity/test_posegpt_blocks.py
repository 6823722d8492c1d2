"""The blocks that PoseGPT shares with SAGE against the original's numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contrapposto.nn.attention import SelfAttention
from contrapposto.nn.positions import sine_table
from contrapposto.nn.quantizer import ProductQuantizer
from contrapposto.nn.stacks import DownConv, Stack, UpConv
from contrapposto.weights import import_official
from tests.parity.golden import Case, parity


def filled(module: nn.Module, case: Case, label: str) -> nn.Module:
    """A module with the weights of its label in the case."""
    weights = {
        name.removeprefix(label + "."): value
        for name, value in case.weights().items()
        if name.startswith(label + ".") and not name.endswith(".mask")
    }
    import_official(module, weights)
    return module.eval()


def check_where_valid(case: Case, actual: Tensor, valid: Tensor, key: str) -> None:
    expected = case[key]
    assert actual.shape == expected.shape
    error = (actual - expected).abs()[valid].max() / expected[valid].abs().max()
    case.check_error(float(error), key, 1e-5)


@parity("posegpt_blocks")
def test_blocks(case: Case) -> None:
    x, mask = case["x"], case["mask"]
    width = x.shape[-1]
    with torch.no_grad():
        for kind in ("causal", "full"):
            conv = filled(DownConv(width, causal=kind == "causal"), case, f"conv_{kind}")
            for suffix, length in (("", x.shape[1]), ("_odd", x.shape[1] - 1)):
                y, valid = conv(x[:, :length], mask[:, :length])
                case.check(valid, f"conv_{kind}{suffix}_m")
                check_where_valid(case, y, valid, f"conv_{kind}{suffix}_y")
            heads = case.manifest["config"]["n_head"]
            # The case filled the mask buffer of "causal" by the rule for weights. The original hides where it
            # is zero, which is nowhere then: the numbers are of full attention. (`stack` below is causal.)
            hides = bool((case.weights().get(f"attn_{kind}.mask", torch.ones(1)) == 0).any())
            attention = filled(SelfAttention(width, heads, causal=hides), case, f"attn_{kind}")
            case.check(attention(x, mask), f"attn_{kind}_y", tolerance=1e-5)
            case.check(attention(x), f"attn_{kind}_nomask_y", tolerance=1e-5)
        y, valid = filled(UpConv(width), case, "up")(x, mask)
        case.check(y, "up_y", tolerance=1e-5)
        case.check(valid, "up_m")
        for columns in (6, 7):
            rows = case[f"pe_{columns}"].shape[1]
            case.check(sine_table(rows, columns), f"pe_{columns}", tolerance=1e-6)
        options = case.manifest["config"]["stack"]
        stack = Stack(
            options["n_layer"], options["n_embd"], options["n_head"], causal=True, down=True, block_size=64
        )
        y, valid = filled(stack, case, "stack")(x, mask)
        case.check(valid, "stack_down_m")
        check_where_valid(case, y, valid, "stack_down_y")


@parity("posegpt_quantizer")
def test_quantizer(case: Case) -> None:
    config = case.manifest["config"]
    quantizer = ProductQuantizer(
        config["n_e"], config["e_dim"], config["nbooks"], beta=config["beta"], track_usage=True
    )
    import_official(quantizer, case.weights(), optional=["usage.*"])
    quantizer.eval()
    z = case["z"].requires_grad_()
    output = quantizer(z)
    ((output.z_q * case["w"]).sum() + (output.loss * case["wl"]).sum()).backward()
    case.check(output.z_q, "zq", tolerance=1e-5)
    case.check(output.loss, "loss", tolerance=1e-5)
    case.check(output.indices, "idx")
    case.check(z.grad, "grad_z", tolerance=1e-5)
    case.check(quantizer.embeddings[0].weight.grad[case["rows0"]], "grad_rows0", tolerance=1e-5)
    case.check(quantizer.lookup(case["idx"]), "entry", tolerance=1e-6)
    partial = quantizer(case["z"], quantized_mask=case["bernoulli_mask"])
    case.check(partial.z_q, "zq_partial", tolerance=1e-5)
    quantizer.train()
    quantizer(case["z"])
    case.check(quantizer.usage.bins[0], "bins0_after1", tolerance=1e-6)
    quantizer(case["z2"])
    case.check(quantizer.usage.bins[0], "bins0_after2", tolerance=1e-6)
