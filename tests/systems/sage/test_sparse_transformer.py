"""The transformer baseline against torch's own encoder layers."""

import pytest
import torch
from torch import nn

from contrapposto.systems.sage.sparse_transformer import SparseTransformer


def as_torch(block, width, heads):
    """torch's pre-norm encoder layer with the same weights."""
    layer = nn.TransformerEncoderLayer(
        width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    with torch.no_grad():
        for name in ("weight", "bias"):
            parts = [getattr(getattr(block.attn, part), name) for part in ("query", "key", "value")]
            getattr(layer.self_attn, f"in_proj_{name}").copy_(torch.cat(parts))
            getattr(layer.self_attn.out_proj, name).copy_(getattr(block.attn.proj, name))
            for theirs, ours in (
                (layer.norm1, block.ln1),
                (layer.norm2, block.ln2),
                (layer.linear1, block.mlp[0]),
                (layer.linear2, block.mlp[2]),
            ):
                getattr(theirs, name).copy_(getattr(ours, name))
    return layer.eval()


def test_it_is_torchs_encoder_with_two_heads():
    torch.manual_seed(0)
    network = SparseTransformer(window=12, width=32, heads=4, layers=3).eval()
    sparse = torch.randn(5, 12, 3, 18)
    tokens = network.embed(sparse.flatten(2)) + network.encoder.pos[0].pe
    for block in network.encoder.blocks:
        tokens = as_torch(block, 32, 4)(tokens)
    last = network.encoder.head(network.encoder.ln_f(tokens[:, -1]))
    expected = torch.cat([network.root(last), network.body(last)], -1)
    torch.testing.assert_close(network(sparse), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("sizes", "millions"), [((256, 8, 3), 2.6), ((1024, 16, 10), 129.3)])
def test_sizes_that_the_documentation_names(sizes, millions):
    with torch.device("meta"):
        network = SparseTransformer(40, *sizes)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)
