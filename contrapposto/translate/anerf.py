"""Commands of A-NeRF (docs/specs/anerf.md, sections 7 and 10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from contrapposto.translate.grammar import MANY, Arguments, Command, Option, Translation, unused, used

_FILES = {  # training files of the released data sets
    ("h36m", "s9"): "data/h36m/S9_processed_h5py.h5",
    ("h36m", "s11"): "data/h36m/S11_processed_h5py.h5",
    ("surreal", "female"): "data/surreal/surreal_train_h5py.h5",
    ("perfcap", "weipeng"): "data/MonoPerfCap/Weipeng_outdoor/Weipeng_outdoor_processed_h5py.h5",
    ("perfcap", "nadia"): "data/MonoPerfCap/Nadia_outdoor/Nadia_outdoor_processed_h5py.h5",
    ("mixamo", "james"): "data/mixamo/James_processed_h5py.h5",
    ("mixamo", "archer"): "data/mixamo/Archer_processed_h5py.h5",
}
_STEPS = 1000  # of our epochs, data.steps_per_epoch
_PUBLISHED = {  # the released configurations, beyond our defaults
    "surreal": "dataset_type=surreal subject=female N_sample_images=128 N_rand=2048 n_iters=150000 loss_fn=MSE "
    "lrate_decay=500 decay_unit=1000",
    "surreal_single": "dataset_type=surreal subject=female N_sample_images=128 N_rand=2048 n_iters=150000 "
    "loss_fn=MSE lrate_decay=500 decay_unit=1000 single_net=True N_samples=96 N_importance=48 multires_views=0",
    "mixamo": "dataset_type=mixamo subject=james n_iters=500000 opt_pose=True opt_rot6d=True opt_pose_step=20 "
    "opt_pose_coef=2.0 opt_pose_tol=0.01 opt_framecode=True render_factor=2",
    "mixamo_finetune": "dataset_type=mixamo subject=james finetune=True n_iters=200000 lrate=2e-4 "
    "lrate_decay=200000 lrate_decay_rate=0.25 opt_framecode=True render_factor=2",
    "perfcap": "dataset_type=perfcap subject=weipeng n_iters=500000 opt_pose=True opt_rot6d=True opt_pose_step=20 "
    "opt_pose_coef=2.0 opt_pose_tol=0.01 opt_framecode=True render_factor=2",
    "perfcap_finetune": "dataset_type=perfcap subject=weipeng finetune=True mask_image=True n_iters=200000 "
    "lrate_decay=200000 lrate_decay_rate=0.25 opt_framecode=True render_factor=2",
    "h36m_prot2": "dataset_type=h36m subject=S9 n_iters=500000 opt_pose=True opt_rot6d=True opt_pose_step=50 "
    "opt_pose_coef=2.0 opt_pose_tol=0.01 opt_framecode=True render_factor=2",
    "h36m_prot2_finetune": "dataset_type=h36m subject=S9 finetune=True mask_image=True n_iters=200000 "
    "lrate_decay=200000 lrate_decay_rate=0.1 opt_framecode=True render_factor=2",
}
_POSES = {
    "opt_pose_step": "every",
    "opt_pose_lrate": "learning_rate",
    "opt_pose_stop": "stop",
    "opt_pose_coef": "weight",
    "opt_pose_tol": "tolerance",
}
_NO_EFFECT = (
    "datadir netdepth_fine netwidth_fine netchunk use_yuv save_image precrop_iters precrop_frac multires_pts n_subjects "
    "opt_posecode opt_pose_type opt_pose_lrate_decay opt_pose_decay_rate opt_pose_decay_unit opt_pose_warmup "
    "opt_pose_joint testopt use_bgnet use_uncertainty bgnet_stop bgnet_reg use_bgfill lbsnet_type use_lbsnet n_lbs "
    "multires_lbs multires_lbsviews camera fg_ratio train_skip view_skip cutoff_ancestors training_res val_seq "
    "image_batching i_video"
).split()
_FLAGS = (
    "lindisp single_net use_temp_loss no_reload no_poseopt_reload finetune use_yuv use_viewdirs save_image "
    "opt_framecode opt_rot6d opt_posecode opt_pose opt_pose_cache opt_pose_joint testopt use_bgnet use_uncertainty "
    "use_bgfill use_lbsnet use_ckpt_anchor use_val white_bkgd use_background use_cutoff normalize_cutoff "
    "cutoff_inputs cut_to_dist cutoff_shift cutoff_viewdir opt_cutoff cutoff_bones freq_schedule multiview "
    "image_batching mask_image load_refined debug"
).split()


def _thousands(value: str) -> str:
    return str(-(-int(float(value)) // _STEPS))


def _train_options() -> dict[str, Option]:
    default = "the default here too"
    options = {
        "config": used(),
        "expname": unused("runs are named by their time"),
        "basedir": Option("paths.runs={}", "runs are stored as BASEDIR/anerf/TIME"),
        "dataset_type": used(),
        "subject": used(),
        "lindisp": Option("module.network.inverse_depth=true"),
        "netdepth": Option("module.network.depth={}"),
        "netwidth": Option("module.network.width={}"),
        "N_rand": Option("data.rays.rays_per_step={}"),
        "N_sample_images": Option("data.rays.images_per_step={}"),
        "lrate": Option("optimizer.lr={}"),
        "lrate_decay": Option("scheduler.steps={}"),
        "lrate_decay_rate": Option("scheduler.rate={}"),
        "decay_unit": Option("scheduler.unit={}"),
        "weight_decay": unused("with it, the original trains no network parameter"),
        "single_net": Option("module.network.single_network=true"),
        "coarse_weight": Option("module.coarse_weight={}"),
        "use_temp_loss": used(),
        "temp_coef": used(),
        "chunk": unused("the size of pieces is chosen by the memory"),
        "no_reload": unused("a new run starts fresh; resume=true continues the last one"),
        "ft_path": Option("init_from={}"),
        "n_iters": Option("trainer.max_epochs={}", turn=_thousands),
        "loss_fn": Option(
            "module.loss={}", turn=lambda value: {"L1": "l1", "MSE": "mse"}.get(value, "huber")
        ),
        "loss_beta": unused("0.1, the published value"),
        "reg_fn": used(),
        "reg_coef": used(),
        "init_poseopt": unused("init_from= loads poses together with the network"),
        "no_poseopt_reload": unused("init_from= loads poses together with the network"),
        "finetune": used(),
        "fix_layer": unused("layers cannot be fixed; it is 0 in every released configuration"),
        "density_scale": Option("module.network.density_scale={}"),
        "N_samples": Option("module.network.coarse_samples={}"),
        "N_importance": Option("module.network.fine_samples={}"),
        "perturb": unused("depths are always jittered in training"),
        "P_nms": Option("data.rays.near_rays={}"),
        "use_viewdirs": unused(default),
        "i_embed": unused(default),
        "multires": Option("module.network.distance_frequencies={}"),
        "multires_views": Option("module.network.view_frequencies={}"),
        "multires_bones": unused("directions have no frequencies, as in every released configuration"),
        "raw_noise_std": Option("module.noise={}"),
        "ray_noise_std": unused("no noise is added to positions; it is 0 in every released configuration"),
        "render_factor": Option("module.render_factor={}", turn=lambda value: str(max(int(value), 1))),
        "nerf_type": unused(default),
        "density_type": Option("module.network.density={}"),
        "softplus_shift": unused("1, the default"),
        "opt_framecode": Option("module.codes=true"),
        "n_framecodes": unused("it follows from the data"),
        "framecode_size": Option("module.network.code_size={}"),
        "opt_rot6d": used(),
        "opt_pose": used(),
        **dict.fromkeys(_POSES, used()),
        "opt_pose_cache": unused("poses are always computed once per step"),
        "use_ckpt_anchor": unused("anchors are part of the checkpoint"),
        "num_workers": unused("batches are drawn in the training process"),
        "use_val": unused("data.train_split=all trains on everything"),
        "white_bkgd": unused("the background is part of the prepared data"),
        "ext_scale": unused("the scale is part of the prepared data"),
        "use_background": unused(default),
        **{name: unused(default) for name in ("kp_dist_type", "view_type", "bone_type", "pts_tr_type")},
        "N_cams": unused("choose cameras when preparing the data"),
        "use_cutoff": unused(default),
        "normalize_cutoff": unused("off in every released configuration"),
        "cutoff_mm": Option("module.network.cutoff={}", turn=lambda value: f"{float(value) / 1000:g}"),
        "cutoff_inputs": Option("module.network.weigh_input=true"),
        **{
            name: unused("off in every released configuration")
            for name in ("cut_to_dist", "cutoff_shift", "cutoff_bones")
        },
        "cutoff_viewdir": unused(default),
        "opt_cutoff": Option("module.network.learn_cutoff=true", "it has an effect here"),
        "cutoff_step": Option("module.tau_steps={}"),
        "cutoff_rate": unused("10, the default"),
        "freq_schedule": unused("off in every released configuration"),
        "freq_schedule_step": unused("only with freq_schedule"),
        "init_freq": unused("only with freq_schedule"),
        "multiview": unused("prepare the data with data=anerf_h36m data.options.views=4"),
        "rand_train_kps": unused("choose poses when preparing the data"),
        "mask_image": Option("data.rays.mask_target=true"),
        "patch_size": Option("data.rays.patch={}"),
        "load_refined": unused("init_from= loads refined poses together with the network"),
        "i_print": Option("trainer.log_every_n_steps={}"),
        "i_weights": unused("the best, the last and the previous checkpoint are kept"),
        "i_pose_weights": unused("poses are part of the checkpoint"),
        "i_testset": Option("trainer.check_val_every_n_epoch={}", turn=_thousands),
        "debug": unused("trainer.fast_dev_run=true runs one batch of everything"),
    }
    options |= {name: unused("this option has no effect in the original") for name in _NO_EFFECT}
    return {name: replace(option, count=0) if name in _FLAGS else option for name, option in options.items()}


TRAIN = _train_options()


def read_config(path: str) -> dict[str, list[str]]:
    """Options of a text file (`key = value` lines), or of the released configuration of that name."""
    file, name = Path(path), PurePosixPath(path).stem
    if file.is_file() and file.stat().st_size < 1 << 20:
        pairs = [
            line.partition("=") for line in file.read_text(encoding="utf-8", errors="replace").splitlines()
        ]
        lines = {
            key.strip(): value.strip() for key, equals, value in pairs if equals and key.strip()[:1] != "#"
        }
    else:
        lines = dict(pair.split("=", 1) for pair in _PUBLISHED.get(name, "").split())
    return {key: _flag(key, value) for key, value in lines.items() if key in TRAIN and value != "False"}


def _flag(key: str, value: str) -> list[str]:
    return [] if TRAIN[key].count == 0 else [value.strip("[]'\" ")]


def _data(options: Mapping[str, list[str]]) -> tuple[str, str]:
    kind, subject = (options.get(key, [""])[0] for key in ("dataset_type", "subject"))
    name = "_".join(["anerf", *(part.lower() for part in (kind, subject) if part)])
    return name if kind else "anerf_h5", _FILES.get((kind.lower(), subject.lower()), "FILE.h5")


def _poses(options: Mapping[str, list[str]]) -> list[str]:
    if "opt_pose" not in options:
        return []
    fields = {"kind": "sixd" if "opt_rot6d" in options else "axis_angle"}
    fields |= {ours: options[theirs][0] for theirs, ours in _POSES.items() if options.get(theirs)}
    if "use_temp_loss" in options:
        fields["temporal_weight"] = options.get("temp_coef", ["0.05"])[0]
    return [f"module.poses={{{', '.join(f'{key}: {value}' for key, value in fields.items())}}}"]


class TrainCommand(Command):
    """`run_nerf.py`: options of the configuration file first, those of the command line over them."""

    def translate(self, arguments: Arguments) -> Translation:
        """Our commands for these arguments."""
        config = read_config(arguments.get("config")) if arguments.has("config") else {}
        merged = Arguments({**config, **arguments.options}, arguments.positional, arguments.unknown)
        result = super().translate(merged)
        quiet = {
            name for name in config if name not in arguments.options
        }  # of the file, nobody asked for these
        missing = tuple(entry for entry in result.missing if entry[0].split()[0].lstrip("-") not in quiet)
        return replace(result, missing=missing)


def _train(arguments: Arguments) -> list[list[str]]:
    name, file = _data(arguments.options)
    model = "anerf_finetune" if arguments.has("finetune") else "anerf"
    store = ["data=anerf_h5", f"data.name={name}"]
    words = ["python", "train.py", f"model={model}", *store, *_poses(arguments.options)]
    if arguments.has("reg_fn") or "reg_coef" in arguments.options:
        words.append(f"module.opacity_weight={arguments.get('reg_coef', '0.1')}")
    return [["python", "prepare.py", *store, f"raw={file}"], words]


def _store(arguments: Arguments) -> list[list[str]]:
    dataset, entry = arguments.get("dataset", "DATASET"), arguments.get("entry", "ENTRY")
    subject = "female" if dataset == "surreal" else entry
    return [
        ["python", "prepare.py", "data=anerf_h5", f"data.name=anerf_{dataset}_{subject}".lower(),
         f"raw={_FILES.get((dataset.lower(), subject.lower()), 'FILE.h5')}"],
    ]  # fmt: skip


def _beside(arguments: Arguments) -> list[list[str]]:
    """A copy of the options file, where it is not the `args.txt` beside the checkpoint, which is read."""
    file, checkpoint = arguments.get("nerf_args"), PurePosixPath(arguments.get("ckptpath", "CHECKPOINT.tar"))
    wanted = checkpoint.parent / "args.txt"
    return [["cp", file, str(wanted)]] if file and PurePosixPath(file) != wanted else []


def _render(arguments: Arguments) -> list[list[str]]:
    store = _store(arguments)
    prepare, name = [*_beside(arguments), *store], store[0][3].partition("=")[2]
    kind = arguments.get("render_type", "retarget")
    task = ["task=anerf_mesh", "task.scale=unit_cube"] if kind == "mesh" else ["task=anerf_render"]
    words = ["contrapposto", "predict", *task, f"ckpt={arguments.get('ckptpath', 'CHECKPOINT.tar')}"]
    words += [f"scene=stores/{name}", f"output={arguments.get('outputdir', 'render_output/').rstrip('/')}"]
    words[-1] += f"/{arguments.get('runname', 'run')}"
    if kind == "mesh":
        words += [f"task.resolution={arguments.get('mesh_res')}"] if arguments.get("mesh_res") else []
        return [*prepare, words]
    words.append(f"mode={'val' if kind.startswith('val') else kind}")
    if arguments.has("entry"):
        words.append(f"task.entry={arguments.get('dataset', 'DATASET')}/{arguments.get('entry')}")
    words.append(f"task.background={'white' if arguments.has('white_bkgd') else 'black'}")
    if not arguments.has("no_save"):
        words.append("task.formats=[mp4,png]")
    if arguments.has("eval"):
        words.append("task.scores=true")
    if arguments.options.get("render_res") and not kind.startswith("val"):
        words.append(f"task.height={arguments.get('render_res')}")
    return [*prepare, words]


def _render_mesh(arguments: Arguments) -> list[list[str]]:
    name = arguments.get("expname", "run")
    words = ["contrapposto", "predict", "task=anerf_mesh", "ckpt=CHECKPOINT.tar", "scene=stores/SCENE"]
    return [[*words, "task.formats=[mp4,png]", f"output=render_output/{name}"]]


COMMANDS = (
    TrainCommand(
        "A-NeRF",
        "run_nerf.py",
        TRAIN,
        _train,
        (
            f"An epoch has {_STEPS:,} steps (data.steps_per_epoch).",
            "resume=true continues an interrupted run.",
        ),
    ),
    Command(
        "A-NeRF",
        "run_render.py",
        {
            "nerf_args": used(),
            "ckptpath": used(),
            "render_res": Option(used=True, count=MANY),
            "dataset": used(),
            "entry": used(),
            "white_bkgd": used(0),
            "render_type": used(),
            "save_gt": unused("mode=val compares with the images of the scene", 0),
            "fps": Option("task.fps={}"),
            "mesh_res": used(),
            "render_refined": Option("task.refined=true", count=0),
            "subject_idx": unused("a scene has one subject"),
            "selected_idxs": Option("task.frames={}", count=MANY),
            "selected_framecode": unused("every image has its own code; mode=val takes the mean code"),
            "outputdir": used(),
            "runname": used(),
            "eval": used(0),
            "no_save": used(0),
        },
        _render,
        (
            "args.txt is read where it lies beside the checkpoint, whose shapes tell the rest.",
            "The width of the images follows from the scene's shape.",
        ),
    ),
    Command(
        "A-NeRF",
        "render_mesh.py",
        {"expname": used()},
        _render_mesh,
        (
            "The mesh is extracted and drawn by one command; task.formats=[ply,glb,mp4,png] writes it as well.",
            "contrapposto view MESH.ply shows a mesh that exists already.",
        ),
    ),
)
