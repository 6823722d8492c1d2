"""Commands of PoseGPT (docs/specs/posegpt.md, sections 4, 6, 7, 8 and 11)."""

from __future__ import annotations

import re

from contrapposto.translate.grammar import MANY, Arguments, Command, Option, unused, used

_VARIANTS = {
    "OfflineVQVAE": "offline",
    "CausalVQVAE": "causal",
    "OnlineVQVAE": "online",
    "TransformerVQVAE": "offline",
}
_RELEASED = "data.skeleton=smplx55"  # of all weights that the authors' code writes
_NO_EFFECT = (
    "balance quant_min_prop quant_epoch_max alpha_fast_vert alpha_kl vert_string eos_force eval_fid eval_classif "
    "classif_ckpt class_freq fid_freq n_train train_visu_freq detailed_count user prefetch_factor sample_method "
    "visu_to_tboard"
).split()


def _flag(words: str) -> Option:
    """An option whose value is 0 or 1."""
    return Option(words, turn=lambda value: "true" if value in ("1", "True", "true") else "false")


_SHARED = {
    "name": unused("runs are named by their time"),
    "save_dir": Option("paths.runs={}", "runs are stored as SAVE_DIR/MODEL/TIME"),
    "train_data_dir": used(),
    "val_data_dir": unused("the store contains both parts; data.split_by=given takes BABEL's own"),
    "learning_rate": Option("optimizer.lr={}"),
    "train_batch_size": Option("data.batch_size={}"),
    "val_batch_size": Option("data.eval_batch_size={}"),
    "max_epochs": Option("trainer.max_epochs={}"),
    "n_iters_per_epoch": Option("data.steps_per_epoch={}"),
    "val_freq": Option("trainer.check_val_every_n_epoch={}"),
    "log_freq": Option("trainer.log_every_n_steps={}"),
    "ckpt_freq": unused("the best, the last and the previous checkpoint are kept"),
    "restart_ckpt_freq": unused("the best, the last and the previous checkpoint are kept"),
    "visu_freq": unused("videos are written by callbacks.media"),
    "n_visu_to_save": unused("videos are written by callbacks.media"),
    "seq_len": Option("data.window={}"),
    "data_augment": unused("windows are always turned and mirrored; data.heading, data.mirror"),
    "sample_start": unused("windows always start at a random frame"),
    "num_workers": Option("data.num_workers={}"),
    "use_amp": Option("trainer.precision={}", turn=lambda value: "bf16-mixed" if value == "1" else "32-true"),
    "debug": Option(
        "trainer.fast_dev_run={}",
        "one batch of everything; the original's debug mode of train_gpt.py cannot run",
        turn=lambda value: "true" if value != "0" else "false",
    ),
    "dummy_data": used(),
    "dummy": used(),
    "seed": Option("seed={}"),
    **{name: unused("this option has no effect in the original") for name in _NO_EFFECT},
}
_QUANTISER = {
    "n_codebook": Option("module.network.num_books={}"),
    "n_e": Option("module.network.num_codes={}"),
    "e_dim": Option("module.network.code_dim={}"),
    "beta": Option("module.network.beta={}"),
    "hid_dim": Option("module.network.hidden={}"),
    "n_layers": Option("module.network.num_layers={}", count=MANY),
    "heads": Option("module.network.heads={}"),
}


def _data(arguments: Arguments) -> list[str]:
    if arguments.has("dummy_data") or arguments.has("dummy"):
        return ["data=demo"]
    return ["data=amass", "data.vocabulary=babel", "data.split_by=given"]


def _with_data(words: list[str]) -> list[list[str]]:
    """The command, after the one that writes the synthetic data which it asks for."""
    return [["python", "prepare.py", "data=demo"], words] if "data=demo" in words else [words]


def _auto_encode(arguments: Arguments) -> list[list[str]]:
    script = "evaluate.py" if arguments.has("eval_only") else "train.py"
    words = ["python", script, "model=posegpt_vqvae", *_data(arguments), "data.max_tilt=15"]
    model = arguments.get("model").rpartition(".")[2]
    if model in _VARIANTS:
        words.append(f"module.network.variant={_VARIANTS[model]}")
    if arguments.has("pretrained_ckpt"):
        words.append(_RELEASED)
        name = "official" if arguments.has("eval_only") else "init_from"
        words.append(f"{name}={arguments.get('pretrained_ckpt')}")
    return _with_data(words)


def _train_gpt(arguments: Arguments) -> list[list[str]]:
    words = ["python", "train.py", "model=posegpt_gpt", *_data(arguments), "data.max_tilt=15"]
    if arguments.has("vq_ckpt"):
        words.append(_RELEASED)
        words.append(f"module.vqvae={arguments.get('vq_ckpt')}")
    if arguments.has("classif_ckpt"):
        words.append(f"callbacks.generation.sources.judge={arguments.get('classif_ckpt')}")
    return _with_data(words)


def _classify(arguments: Arguments) -> list[list[str]]:
    return _with_data(
        ["python", "train.py", "model=posegpt_classifier", *_data(arguments), "data.max_tilt=15"]
    )


def _prepare(arguments: Arguments) -> list[list[str]]:
    text = " ".join(arguments.positional)
    values = dict(re.findall(r"(\w+)\s*=\s*['\"]?([^,'\")]+)", text))
    amass, babel = values.get("amass_dir", "AMASS").strip(), values.get("babel_dir", "BABEL").strip()
    return [["python", "prepare.py", "data=amass", f"raw={amass}", f"data.options.babel={babel}"]]


COMMANDS = (
    Command(
        "PoseGPT",
        "babel.py",
        {},
        _prepare,
        (
            "One store replaces the six calls: types (data.skeleton), lengths and splits are chosen at training.",
            "Folders with pose.pkl and action.pt that the original made are read by data=posegpt_folder raw=FOLDER.",
        ),
    ),
    Command(
        "PoseGPT",
        "auto_encode.py",
        {
            **_SHARED,
            **_QUANTISER,
            "model": used(),
            "dropout": Option("module.network.entry_dropout={}", "it only reaches the encoder's entry"),
            "pos_type": Option("module.network.positions={}"),
            "pos_all": _flag("module.network.position_every_block={}"),
            "loss": Option("module.loss.kind={}"),
            "l2_verts": _flag("module.loss.gaussian_vertices={}"),
            "alpha_root": Option("module.loss.root_weight={}"),
            "alpha_body": Option("module.loss.body_weight={}"),
            "alpha_trans": Option("module.loss.trans_weight={}"),
            "alpha_vert": Option("module.loss.vert_weight={}"),
            "alpha_codebook": Option("module.loss.quantizer_weight={}"),
            "freq_vert": Option("module.vertex_every={}"),
            "prop_vert": Option("module.vertices.batch_share={}"),
            "tprop_vert": Option("module.vertices.frame_share={}"),
            "mask_trans": _flag("module.loss.mask_translation={}"),
            "pred_trans": unused("it must be the opposite of mask_trans"),
            "ab1": unused("write both: optimizer.betas=[0.95,0.999]"),
            "ab2": unused("write both: optimizer.betas=[0.95,0.999]"),
            "eval_only": used(),
            "pretrained_ckpt": used(),
            "class_conditional": unused("it has no effect on the auto-encoder"),
            "seqlen_conditional": unused("it has no effect on the auto-encoder"),
        },
        _auto_encode,
    ),
    Command(
        "PoseGPT",
        "train_gpt.py",
        {
            **_SHARED,
            **{name: unused("the auto-encoder's checkpoint contains it") for name in _QUANTISER},
            "n_layers": unused("the auto-encoder's checkpoint contains it", MANY),
            "vq_model": unused("the auto-encoder's checkpoint contains it"),
            "vq_ckpt": used(),
            "vq_seq_len": unused("the auto-encoder's checkpoint contains it"),
            "classif_ckpt": used(),
            "classif_method": unused("there is one kind of classifier"),
            "gpt_nembd": Option("module.network.width={}"),
            "gpt_nlayer": Option("module.network.num_layers={}"),
            "gpt_nhead": Option("module.network.heads={}"),
            "gpt_blocksize": Option("module.network.block_size={}"),
            "gpt_embd_pdrop": Option("module.network.dropout={}", "one rate for all dropouts"),
            "gpt_resid_pdrop": Option("module.network.dropout={}"),
            "gpt_attn_pdrop": Option("module.network.dropout={}"),
            "class_conditional": _flag("module.network.actions={}"),
            "seqlen_conditional": _flag("module.network.lengths={}"),
            "embed_every_step": _flag("module.network.every_step={}"),
            "concat_emb": _flag("module.network.concatenate={}"),
            "gen_eos": _flag("module.network.end_token={}"),
            "head_type": Option("module.network.head={}"),
            "causal_gpt": _flag("module.network.causal={}"),
            "pos_emb": Option("module.network.positions={}"),
            "per_frame_labels": _flag("data.per_frame={}"),
            "autoreg_pq": unused("it stops with an error in the original"),
            "cond_steps": unused("contrapposto predict task=posegpt_forecast past=clip.npz action=walk"),
            "temperature": unused("of sampling: task.temperature"),
            "top_k": unused("of sampling: task.top_k"),
            "pretrained_ckpt": Option("init_from={}"),
        },
        _train_gpt,
        ("contrapposto predict task=posegpt_sample action=walk samples from the trained generator.",),
    ),
    Command(
        "PoseGPT",
        "classify.py",
        {
            **_SHARED,
            "classif_method": unused("there is one kind of classifier"),
            "use_bm": unused("the classifier sees rotations, as in the README"),
            "pretrained_ckpt": Option("init_from={}"),
        },
        _classify,
    ),
)
