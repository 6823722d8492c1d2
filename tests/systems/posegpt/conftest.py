"""Small PoseGPT networks with weights that make motion."""

import pytest
import torch
from torch import nn

from contrapposto.systems.posegpt.gpt import PoseGPT
from contrapposto.systems.posegpt.vqvae import PoseVQVAE

JOINTS, ACTIONS = 22, 5


def build_vqvae(variant="causal", **options):
    torch.manual_seed(0)
    options = {"num_layers": (0, 2), "hidden": 32, "num_codes": 32, "code_dim": 16, "heads": 2, **options}
    return enlarge(PoseVQVAE(variant, JOINTS, block_size=128, **options)).eval()


def build_gpt(vqvae=None, **options):
    torch.manual_seed(1)
    options = {"width": 32, "num_layers": 2, "heads": 2, "block_size": 64, "num_actions": ACTIONS, **options}
    return enlarge(PoseGPT(vqvae if vqvae is not None else build_vqvae(), **options)).eval()


def enlarge(model):
    """Fresh networks of this family give nearly the same for any input: give the weights some size."""
    for module in model.modules():
        if isinstance(module, nn.Linear) and module.weight.requires_grad:
            nn.init.normal_(module.weight, std=1.5 / module.in_features**0.5)
    return model


@pytest.fixture
def poses():
    """(3, 24, D) smooth pose vectors."""
    generator = torch.Generator().manual_seed(5)
    start = torch.randn(3, 1, 3 * JOINTS + 3, generator=generator) * 0.3
    steps = torch.randn(3, 24, 3 * JOINTS + 3, generator=generator) * 0.02
    return start + steps.cumsum(1)
