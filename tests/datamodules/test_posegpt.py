"""Windows for PoseGPT: turned, mirrored with their labels, cached as tokens; stores without labels are refused."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from contrapposto.data.prepare import prepare
from contrapposto.errors import ContrappostoError
from contrapposto.io.amass import write_amass
from contrapposto.rotations import axis_angle_to_matrix
from contrapposto.synthetic import generate
from contrapposto.systems.posegpt.augment import Augment
from contrapposto.systems.posegpt.clips import mirror
from contrapposto.systems.posegpt.poses import heading_of, split_pose
from datamodules.posegpt.windows import PoseGPTDataModule


def data(stores, **options):
    chosen = {
        "vocabulary": "auto",
        "skeleton": "smpl22",
        "batch_size": 4,
        "window": 32,
        "steps_per_epoch": 3,
        "val_share": 0.3,
        "test_share": 0.3,
        **options,
    }
    module = PoseGPTDataModule(stores / "tiny", **chosen)
    module.trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    module.setup("fit")
    return module


def equal(first, second):
    return all(torch.equal(torch.as_tensor(first[name]), torch.as_tensor(second[name])) for name in first)


def test_a_batch_is_a_function_of_the_step(stores):
    module = data(stores)
    epoch, again = list(module.train_dataloader()), list(module.train_dataloader())
    assert [int(batch["step"]) for batch in epoch] == [0, 1, 2]
    assert all(equal(one, two) for one, two in zip(epoch, again))
    first = epoch[0]
    assert first["pose"].shape == (4, 32, 69) and first["actions"].shape == (4, 4)
    assert torch.equal(first["actions"].sum(1), torch.ones(4))
    assert torch.equal(first["pose"][:, 0, -3:], torch.zeros(4, 3))
    assert torch.equal(first["lengths"], first["valid"].sum(1))
    assert not torch.equal(first["pose"], epoch[1]["pose"])


def test_canonical_windows_begin_facing_forward(stores):
    module = data(stores, heading="canonical", mirror=False)
    for loader in (module.train_dataloader(), module.val_dataloader()):
        for batch in loader:
            root = axis_angle_to_matrix(batch["pose"][:, 0, :3])
            assert (root[:, 0, 0] > 0).all() and heading_of(root).abs().max() < 1e-5


def test_heights_above_the_floor_stay(stores):
    batch = next(iter(data(stores, height="floor").val_dataloader()))
    assert torch.equal(batch["pose"][:, 0, [-3, -1]], torch.zeros(len(batch["pose"]), 2))
    assert batch["pose"][:, 0, -2].abs().min() > 0


def test_half_of_the_windows_lie_around_labels(stores):
    module = data(stores, unit="clip", balanced_share=0.5, window=16)
    units = module.train_segments()
    around = units[units >= module.num_whole]
    assert len(around) == pytest.approx(len(units) / 2, abs=len(module.vocabulary))
    counts = module.segments.actions[around].sum(0)
    assert counts[counts > 0].min() >= 0.9 * counts.max() - 1, "every action equally often"
    whole = data(stores, unit="clip", vocabulary=None, window=16)
    windows = [m.evaluation_windows(m.split.val) for m in (module, whole)]
    assert windows[0] == windows[1], "evaluation is that of whole clips"
    with pytest.raises(ContrappostoError, match="balanced_share"):
        data(stores, balanced_share=1.0)


def test_random_headings_turn_about_the_vertical_only(stores):
    plain, turned = (
        next(iter(data(stores, heading=h, mirror=False).train_dataloader())) for h in ("as_it_is", "random")
    )
    (before, there), (after, then) = (split_pose(batch["pose"]) for batch in (plain, turned))
    torch.testing.assert_close(before[..., 1:, :], after[..., 1:, :])
    torch.testing.assert_close(there[..., 1], then[..., 1], atol=1e-5, rtol=0)
    torch.testing.assert_close(there.norm(dim=-1), then.norm(dim=-1), atol=1e-5, rtol=0)
    assert (there - then).abs().max() > 0.01


def test_a_mirror_swaps_the_labels_too_or_is_not_used():
    augment = Augment("as_it_is", 0, True, [1, 0, -1], 3)
    actions = torch.eye(3).repeat(100, 1)
    chosen = augment.mirrors(0, torch.arange(300), actions)
    assert not chosen[actions[:, 2] > 0].any() and 60 < chosen.sum() < 140
    seen = augment.mirror_actions(actions, chosen)
    assert torch.equal(seen[chosen][:, :2], actions[chosen][:, :2].flip(1))
    assert torch.equal(seen[~chosen], actions[~chosen])
    original = Augment("as_it_is", 0, True, None, 3)
    assert torch.equal(original.mirror_actions(actions, chosen), actions)


def test_cached_tokens_are_those_of_the_same_windows(stores):
    """With the first frame's joints as "tokens", every cached window is one that could have been drawn."""
    module = data(stores, heading="canonical", cache_windows=40)

    def function(batch):
        return {"tokens": (1000 * batch["pose"][:, ::2, :4]).round().short()}

    module.cache_outputs("test", {}, function)
    assert module.tokens.stride > 1
    batches = list(module.train_dataloader())
    assert "pose" not in batches[0] and batches[0]["tokens"].shape == (4, 16, 4)
    kept = module.tokens
    module.tokens = None
    units = module.train_segments()
    every = module.batch(np.repeat(units, 2)[::2], np.zeros(len(units), int))
    plain = module.augment.plain(every["pose"])
    known = [function({"pose": pose})["tokens"] for pose in (plain, mirror(plain))]
    cached = kept.read(units, np.zeros(len(units), int))["tokens"]
    for variant, tokens in enumerate(known):
        assert (torch.from_numpy(cached[:, variant].copy()) - tokens).abs().max() <= 1


def test_balance_and_length_repeat_segments(stores):
    module = data(stores)
    units = module.train_segments()
    assert len(units) == len(set(units.tolist()))
    module.balance = 1.0
    hot = module.segments.actions[module.train_segments()].sum(0)
    assert hot.max() <= 2 * hot.min()
    module.balance, module.weighting = 0.0, "length"
    counts = np.bincount(module.train_segments())
    expected = -(-module.segments.frames[units] // 32)
    assert counts[units].tolist() == expected.tolist()


def test_actions_frame_by_frame(stores):
    batch = next(iter(data(stores, per_frame=True).train_dataloader()))
    # Clips of the store show one action from beginning to end.
    assert torch.equal(batch["frame_actions"].amax(1), batch["actions"])
    assert torch.equal(batch["frame_actions"].sum(-1) > 0, torch.ones(4, 32, dtype=torch.bool))


def test_clips_need_no_labels_and_are_evaluated_whole(stores):
    module = data(stores, unit="clip", vocabulary=None)
    batches = list(module.val_dataloader())
    frames = module.features.lengths[module.split.val].sum()
    seen = sum(int(batch["lengths"].sum()) for batch in batches)
    assert 0 <= frames - seen < 16 * len(module.split.val)
    assert batches[0]["actions"].shape[1] == 0


def test_stores_without_labels_are_refused_with_one_clear_error(tmp_path):
    for number in range(6):
        clip = generate("walk", seconds=1, seed=number)
        (tmp_path / "raw").mkdir(exist_ok=True)
        write_amass(
            tmp_path / "raw" / f"{number}.npz", type(clip)(clip.rotations, clip.root_translation, clip.fps)
        )
    prepare("amass", output=tmp_path / "tiny", raw=tmp_path / "raw", workers=1)
    for options in ({}, {"vocabulary": "demo"}, {"vocabulary": "demo", "per_frame": True}):
        with pytest.raises(ContrappostoError, match="no labelled motion") as error:
            data(tmp_path, **options)
        assert "data.vocabulary" in str(error.value)
    with pytest.raises(ContrappostoError, match=r"data\.heading=sideways"):
        data(tmp_path, heading="sideways")
