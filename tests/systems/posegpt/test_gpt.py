"""The generator: what a position sees, its options, and the classifier."""

import pytest
import torch
from torch.nn import functional as F

from contrapposto.errors import ConfigError, InputError
from contrapposto.systems.posegpt.classifier import PoseClassifier
from contrapposto.systems.posegpt.gpt import PoseGPT
from contrapposto.systems.posegpt.losses import classification_loss, token_nll
from tests.systems.posegpt.conftest import ACTIONS, JOINTS, build_gpt, build_vqvae


def codes_of(batch=2, length=8, high=16, seed=0):
    return torch.randint(0, high, (batch, length, 2), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_a_position_sees_only_tokens_before_it():
    model, codes = build_gpt(), codes_of()
    changed = codes.clone()
    changed[:, 5] = (changed[:, 5] + 1) % 16
    hot, lengths = torch.eye(ACTIONS)[:2], torch.tensor([16, 9])
    difference = (model(codes, hot, lengths) - model(changed, hot, lengths)).abs().amax((0, 2, 3))
    assert (difference[:6] == 0).all()
    assert (difference[6:] > 0).all()


@torch.no_grad()
def test_books_share_no_row_of_the_token_table_unless_asked():
    for original in (False, True):
        model = build_gpt(original_offsets=original)
        rows = [{int(code + 1 + offset) for code in range(-1, 16)} for offset in model.gpt.offsets]
        assert max(rows[1]) < len(model.gpt.tok_emb.weight)
        assert bool(rows[0] & rows[1]) == original


@torch.no_grad()
def test_actions_by_frame_hold_for_the_token_of_their_frame():
    """A change of action at frame 6 is first heard when token 3 is predicted; one token later originally."""
    for original, first in ((False, 3), (True, 4)):
        model = build_gpt(original_shift=original)
        actions = F.one_hot(torch.zeros(1, 16, dtype=torch.long), ACTIONS)
        changed = actions.clone()
        changed[:, 6:] = F.one_hot(torch.tensor(2), ACTIONS)
        codes, lengths = codes_of(1), torch.tensor([16])
        difference = (model(codes, actions, lengths) - model(codes, changed, lengths)).abs().amax((0, 2, 3))
        assert difference.nonzero().flatten()[0] == first
        constant = model(codes, actions[:, 0], lengths)
        if not original:
            assert torch.allclose(constant, model(codes, actions, lengths), atol=1e-5)


@torch.no_grad()
def test_a_set_of_actions_is_the_sum_of_their_embeddings():
    model = build_gpt()
    table = model.action_emb.weight
    assert torch.allclose(model.action_embedding(torch.tensor([[1, 0, 1, 0, 0]]))[0, 0], table[0] + table[2])
    assert len(table) == 64
    assert len(build_gpt(num_actions=100).action_emb.weight) == 100


def test_only_what_is_used_has_parameters():
    names = {name.split(".")[0] for name, _ in build_gpt(actions=False, lengths=False).named_parameters()}
    assert names == {"gpt", "vqvae"}
    model = build_gpt()
    loss = token_nll(
        model(codes_of(), torch.eye(ACTIONS)[:2], torch.tensor([4, 16]))[:, :-1], codes_of(), torch.ones(2, 8)
    )
    loss.backward()
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    assert trained == {name for name, value in model.named_parameters() if value.grad is not None}
    assert not any(name.startswith("vqvae") for name in trained)
    assert not model.train().vqvae.training


def test_overfits_one_batch():
    torch.manual_seed(0)
    model = PoseGPT(
        num_codes=32, width=48, num_layers=2, heads=2, block_size=16, dropout=0.0, num_actions=ACTIONS
    )
    codes, hot, lengths = codes_of(3, 8), torch.eye(ACTIONS)[:3], torch.tensor([16, 16, 9])
    valid = torch.arange(8) < ((lengths + 1) // 2)[:, None]
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(80):
        loss = token_nll(model(codes, hot, lengths)[:, :-1], codes, valid)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss) < 0.05


@pytest.mark.parametrize(
    "options",
    [
        {"every_step": False, "concatenate": False},
        {"every_step": False, "lengths": False},
        {"head": "conv"},
        {"positions": "rotary"},
        {"width": 30, "heads": 4},
    ],
)
def test_combinations_that_cannot_be(options):
    with pytest.raises(ConfigError):
        PoseGPT(num_codes=32, num_layers=1, **options)


def test_sizes_are_checked():
    model = build_gpt(build_vqvae())
    hot = torch.eye(ACTIONS)[:1]
    for wrong in (
        lambda: model(codes_of(1, 64), hot, torch.tensor([128])),
        lambda: model(codes_of(1), hot, torch.tensor([1024])),
        lambda: model(codes_of(1), hot, torch.tensor([-1])),
        lambda: model(codes_of(1), None, torch.tensor([16])),
        lambda: model(codes_of(1), hot, None),
    ):
        with pytest.raises(InputError):
            wrong()
    with pytest.raises(ConfigError):
        PoseGPT(num_codes=32).tokens(torch.zeros(1, 2, 135))


@torch.no_grad()
def test_classifier_features_do_not_depend_on_padding():
    torch.manual_seed(0)
    model = PoseClassifier(4, JOINTS, 32, 2, 2, block_size=64).eval()
    pose = torch.randn(1, 21, 3 * JOINTS + 3)
    longer = torch.cat([pose, pose[:, -1:].expand(-1, 10, -1)], dim=1)
    valid = torch.arange(31)[None] < 21
    alone = model.features(torch.cat([pose, pose[:, -1:].expand(-1, 2, -1)], dim=1), valid[:, :23])
    assert torch.allclose(model.features(longer, valid), alone, atol=1e-5)
    other = longer.clone()
    other[:, 25:] += 5
    assert torch.allclose(model.features(other, valid), alone, atol=1e-5)


def test_classification_losses_against_torch():
    logits, labels = torch.randn(3, 4), torch.tensor([[0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 1]])
    exclusive = classification_loss(logits, labels, exclusive=True)
    assert torch.isclose(exclusive, F.cross_entropy(logits, torch.tensor([1, 0, 3])))
    probability = logits.sigmoid()
    expected = -(labels * probability.log() + (1 - labels) * (1 - probability).log()).mean()
    assert torch.isclose(classification_loss(logits, labels), expected)
