"""PoseGPT's three networks through the entry points: learn, evaluate, resume, stand alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cli.report import read_curves
from contrapposto.checkpoints import load_checkpoint
from contrapposto.errors import ContrappostoError
from contrapposto.retarget.ground import sole_heights
from contrapposto.systems.posegpt.generator import MotionGenerator
from contrapposto.systems.posegpt.sampler import PoseGPTSampler
from lightning_modules.posegpt import PoseGPTClassifierModule, PoseGPTModule, PoseGPTVQVAEModule
from tests.lightning_modules.posegpt_tiny import MODELS, entry_point, only_run, tiny

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def runs(stores, tmp_path_factory):
    """One finished run of every model."""
    folder = tmp_path_factory.mktemp("posegpt")
    for model in MODELS:
        entry_point("train", tiny(model, stores, folder))
    return folder


def checkpoint(runs, model, name="best.ckpt"):
    return only_run(runs, model) / "checkpoints" / name


def curve(run, name="train/loss"):
    return dict(read_curves(run / "metrics.csv")[name])


def evaluation(run):
    (path,) = run.glob("evaluation/tiny-test*/metrics.json")
    metrics = json.loads(path.read_text())["test"]["metrics"]
    return {name: float("nan") if value is None else value for name, value in metrics.items()}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("posegpt_vqvae", {"pve", "mpjpe", "root", "mpjve", "codebook_use", "codebook_perplexity"}),
        ("posegpt_gpt", {"token_nll", "token_accuracy"}),
        ("posegpt_classifier", {"accuracy", "mean_average_precision"}),
    ],
)
def test_evaluation_does_not_depend_on_the_batch_size(model, expected, runs, stores, tmp_path):
    run, found = only_run(runs, model), []
    for size in (1, 5):
        more = [f"data.eval_batch_size={size}"] + ["callbacks.generation=null"] * (model == "posegpt_gpt")
        command = tiny(model, stores, runs, *more)
        entry_point("evaluate", [a for a in command if not a.startswith(("module.", "trainer."))])
        found.append(evaluation(run))
        for path in run.glob("evaluation/tiny-test*"):
            path.rename(tmp_path / f"{size}")
    assert expected <= {name.removeprefix("test/") for name in found[0]}
    assert found[0] == pytest.approx(found[1], rel=1e-3, abs=1e-5, nan_ok=True)


@pytest.mark.parametrize("model", MODELS)
def test_a_resumed_run_equals_an_uninterrupted_one(model, runs, stores, tmp_path):
    whole = only_run(runs, model)
    more = ("callbacks.resume.every_n_steps=3",)
    if model == "posegpt_gpt":
        more += (f"module.vqvae={checkpoint(runs, 'posegpt_vqvae')}",)
    entry_point("train", tiny(model, stores, tmp_path, *more, "trainer.max_epochs=1"))
    run = only_run(tmp_path, model)
    # As if it had been killed in mid-epoch: the checkpoint before the last one is of step 3.
    (run / "checkpoints" / "previous.ckpt").replace(run / "checkpoints" / "last.ckpt")
    (run / "result.json").unlink()
    entry_point("train", [f"model={model}", *tiny(model, stores, tmp_path)[1:], f"resume={run}"])
    assert curve(run) == pytest.approx(curve(whole), rel=1e-5)
    one, two = (load_checkpoint(r / "checkpoints" / "last.ckpt")["state_dict"] for r in (whole, run))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-6, msg=name)


OURS = (
    "data.height=floor",
    "data.balanced_share=0.5",
    "datamodule.vocabulary=auto",
    "module.network={variant:ours,hidden:16,depth:2,num_books:2,num_codes:32,code_dim:8}",
    "module.standardize_steps=2",
)


def test_our_networks_from_training_to_a_clip(stores, tmp_path):
    """Killed before the codebooks start and resumed, they are those of a whole run; a generator on them makes clips."""
    for name, more in (
        ("whole", ()),
        ("killed", ("callbacks.resume.every_n_steps=2", "trainer.max_epochs=1")),
    ):
        entry_point("train", tiny("posegpt_vqvae", stores, tmp_path / name, *OURS, *more))
    whole, run = (only_run(tmp_path / name, "posegpt_vqvae") for name in ("whole", "killed"))
    (run / "checkpoints" / "previous.ckpt").replace(run / "checkpoints" / "last.ckpt")  # of step 2
    (run / "result.json").unlink()
    entry_point("train", [*tiny("posegpt_vqvae", stores, tmp_path / "killed", *OURS), f"resume={run}"])
    assert curve(run) == pytest.approx(curve(whole), rel=1e-4)
    metrics = json.loads((whole / "metrics.json").read_text())["best"]["metrics"]
    assert {"val/turn_kept", "val/foot_slide", "val/codebook_use"} <= set(metrics)
    more = (
        f"init_from={whole}",
        "module.decoder_only=true",
        "module.code_errors=0.5",
        "trainer.max_epochs=1",
    )
    entry_point("train", tiny("posegpt_vqvae", stores, tmp_path / "decoder", *OURS, *more))
    before, after = (
        load_checkpoint(run / "checkpoints" / name)["state_dict"]
        for run, name in (
            (whole, "best.ckpt"),
            (only_run(tmp_path / "decoder", "posegpt_vqvae"), "last.ckpt"),
        )
    )
    changed = {name.split(".")[1] for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == {"decoder", "linear_decoder"}, "the codes of a motion stay as they are"
    network = "module.network={width:16,num_layers:1,heads:2,block_size:33,head:depth,dropout:0}"
    vqvae = f"module.vqvae={whole}/checkpoints/best.ckpt"
    height = "data.height=floor"
    entry_point(
        "train", tiny("posegpt_gpt", stores, tmp_path, network, vqvae, height, "trainer.max_epochs=1")
    )
    generator = MotionGenerator.from_pretrained(only_run(tmp_path, "posegpt_gpt"))
    (clip,) = generator.generate(["walk", "squat"], [40, 9]).motions
    assert (
        clip.num_frames == 49
        and clip.metadata["post_processing"] == "smoothing of 1.5 frames, grounded, feet planted"
    )
    assert sole_heights(clip)[0].min() > -0.01


def test_a_generators_checkpoint_is_enough(runs):
    """It holds its auto-encoder, its words and its options: the file of the earlier stage is not looked for."""
    path = checkpoint(runs, "posegpt_gpt")
    content = load_checkpoint(path)
    assert content["hyper_parameters"]["vqvae"] is None and content["hyper_parameters"]["store"] is None
    module = PoseGPTModule.load_from_checkpoint(path, map_location="cpu", weights_only=True).eval()
    assert module.vocabulary.names == ("run", "squat", "walk", "wave both hands")
    encoder = PoseGPTVQVAEModule.load_from_checkpoint(
        checkpoint(runs, "posegpt_vqvae"), map_location="cpu", weights_only=True
    )
    state = encoder.network.state_dict()
    assert all(torch.equal(state[name], value) for name, value in module.vqvae.state_dict().items())
    assert not any(parameter.requires_grad for parameter in module.vqvae.parameters())
    sampler = PoseGPTSampler(module.network, window=module.window, overlap=8)
    sampled = sampler.sample(module.vocabulary.encode(["walk"])[None], torch.tensor([20]))
    assert sampled.pose.shape == (1, 20, 69) and module.canonical
    judge = PoseGPTClassifierModule.load_from_checkpoint(
        checkpoint(runs, "posegpt_classifier"), map_location="cpu", weights_only=True
    ).eval()
    assert judge(sampled.pose, sampled.valid)[0].shape == (1, 4)


def test_samples_are_judged_as_predict_writes_them_and_as_they_are(runs, stores):
    options = ["callbacks.generation.repeats=1", "callbacks.generation.sources.forecasts=2"]
    command = tiny("posegpt_gpt", stores, runs, *options)
    entry_point("evaluate", [a for a in command if not a.startswith(("module.", "trainer."))])
    content = json.loads(next(only_run(runs, "posegpt_gpt").glob("evaluation/*/generation.json")).read_text())
    assert content["settings"]["post_processing"] == "smoothing of 1.5 frames, grounded, feet planted"
    fid = {name: row["fid"]["mean"] for name, row in content["sources"].items() if "fid" in row}
    assert fid["PoseGPT"] != fid["PoseGPT, as generated"]
    assert max(fid["PoseGPT"], fid["PoseGPT, as generated"]) < fid["shuffled in time"] * 100


SAMPLE_A_SHARE = """
import sys, torch
from contrapposto.systems.posegpt.sampler import PoseGPTSampler
from lightning_modules.posegpt import PoseGPTModule
checkpoint, output, first, last, threads = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
torch.set_num_threads(threads)
module = PoseGPTModule.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True).eval()
ids = torch.arange(first, last)
hot = module.vocabulary.encode(["walk"]).expand(len(ids), -1)
sampler = PoseGPTSampler(module.network, window=module.window, overlap=8)
sampled = sampler.sample(hot, torch.full_like(ids, 32), sample_ids=ids)
torch.save({"tokens": sampled.tokens, "pose": sampled.pose, "margin": sampled.margin}, output)
"""


def test_two_processes_draw_what_one_draws(runs, tmp_path):
    """Shares of the samples from a checkpoint, each in a process of its own, with one and with two threads."""
    parts = {}
    for name, *numbers in (("all", 0, 8, 1), ("first", 0, 4, 1), ("second", 4, 8, 2)):
        output = tmp_path / f"{name}.pt"
        arguments = [str(checkpoint(runs, "posegpt_gpt")), str(output), *map(str, numbers)]
        subprocess.run([sys.executable, "-c", SAMPLE_A_SHARE, *arguments], cwd=ROOT, check=True)
        parts[name] = torch.load(output, weights_only=True)
    tokens, pose, margin = (
        torch.cat([parts["first"][key], parts["second"][key]]) for key in ("tokens", "pose", "margin")
    )
    sure = torch.minimum(margin, parts["all"]["margin"]) > 1e-4
    assert sure.any() and len(parts["all"]["tokens"].unique()) > 1
    assert torch.equal(tokens[sure], parts["all"]["tokens"][sure])
    assert torch.allclose(pose[sure], parts["all"]["pose"][sure], atol=1e-4)


def test_tokens_from_the_cache_give_the_losses_of_fresh_ones(runs, stores, tmp_path):
    vqvae = f"module.vqvae={checkpoint(runs, 'posegpt_vqvae')}"
    still = ("data.mirror=false", "trainer.max_epochs=1", vqvae)
    for name, more in (("cached", ("data.cache_variants=1",)), ("fresh", ("data.cache=false",))):
        entry_point("train", tiny("posegpt_gpt", stores, tmp_path / name, *still, *more))
    one, two = (curve(only_run(tmp_path / name, "posegpt_gpt")) for name in ("cached", "fresh"))
    assert one == pytest.approx(two, rel=1e-5)


def test_one_batch_is_learned(stores, tmp_path):
    """Quantised from step 3 on; the vertices of the reconstruction come closer."""
    options = ["trainer.max_epochs=60", "trainer.check_val_every_n_epoch=60", "trainer.overfit_batches=1"]
    options.append("module.vertex_every=1")
    entry_point("train", tiny("posegpt_vqvae", stores, tmp_path, "data.mirror=false", *options))
    errors = curve(only_run(tmp_path, "posegpt_vqvae"), "train/vert")
    first, last = (sum(list(errors.values())[part]) / 5 for part in (slice(4, 9), slice(-5, None)))
    constant = torch.tensor(2.0).log().item()
    assert last - constant < 0.6 * (first - constant)


@pytest.mark.parametrize(
    "options",
    [
        (
            "module.network.every_step=false",
            "module.network.concatenate=false",
            "module.network.lengths=false",
        ),
        ("module.network.concatenate=false", "module.network.end_token=true"),
        ("data.per_frame=true", "module.network.head=mlp"),
        ("module.network.actions=false", "module.network.end_token=true", "module.original_end=true"),
    ],
)
def test_conditions(options, runs, stores, tmp_path):
    vqvae = f"module.vqvae={checkpoint(runs, 'posegpt_vqvae')}"
    base = ["module.network.width=32", "module.network.num_layers=1", "module.network.heads=2"]
    command = tiny("posegpt_gpt", stores, tmp_path, vqvae, "trainer.max_epochs=1", *options)
    entry_point("train", [*(a for a in command if not a.startswith("module.network={")), *base])
    values = list(curve(only_run(tmp_path, "posegpt_gpt")).values())
    assert values[-1] < values[0]


@pytest.mark.parametrize("variant", ["offline", "online", "streaming"])
@pytest.mark.parametrize("kind", ["l2", "laplacian"])
def test_variants_and_losses(variant, kind, stores, tmp_path):
    if (variant, kind) == ("online", "l2"):
        pytest.skip("one of each is enough")
    options = (f"module.network.variant={variant}", f"module.loss.kind={kind}", "data.steps_per_epoch=6")
    entry_point("train", tiny("posegpt_vqvae", stores, tmp_path, *options, "trainer.max_epochs=1"))
    values = list(curve(only_run(tmp_path, "posegpt_vqvae")).values())
    assert min(values[1:]) < values[0]


def test_a_generator_needs_a_fitting_auto_encoder(runs, stores, tmp_path):
    path = checkpoint(runs, "posegpt_vqvae")
    with pytest.raises(ContrappostoError, match="does not fit"):
        PoseGPTModule(str(path), vocabulary=["walk"], skeleton="smpl22", heading="random")
    with pytest.raises(ContrappostoError, match="posegpt_vqvae is missing"):
        PoseGPTModule(str(tmp_path / "none.ckpt"), vocabulary=["walk"])
    with pytest.raises(ContrappostoError, match="needs train posegpt_vqvae first"):
        entry_point("train", tiny("posegpt_gpt", stores, tmp_path, "requires=fail"))
