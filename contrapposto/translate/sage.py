"""Commands of SAGE (docs/specs/sage.md, section 6)."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from contrapposto.translate.grammar import Arguments, Command, unused, used

_CFG = {"cfg": used()}
_PROTOCOLS = {"1_small_dataset": "sage_s1", "2_full_dataset": "sage_s2", "randomsplit_0": "sage_s3"}
_NAMES = {"full_rand0": "sage_s3", "rand0": "sage_s3", "_full": "sage_s2", "realdemo": "sage_s2"}


def experiment_of(cfg: str) -> str:
    """Our experiment for a configuration file: by its PROTOCOL if the file is there, otherwise by its name."""
    path = Path(cfg)
    if path.is_file() and path.stat().st_size < 1 << 20:
        for protocol, experiment in _PROTOCOLS.items():
            if protocol in path.read_text(encoding="utf-8", errors="replace"):
                return experiment
    name = PurePosixPath(cfg).stem.lower()
    return next((experiment for part, experiment in _NAMES.items() if part in name), "sage_s1")


def _listed(words: list[str]) -> list[str]:
    """Setting 1 is split by the authors' lists."""
    return [*words, "data.lists=SPLIT_LISTS"] if words[-1].endswith("sage_s1") else words


def _train(model: str) -> Command:
    def build(arguments: Arguments) -> list[list[str]]:
        cfg = arguments.get("cfg")
        name = model
        if model == "vqvae":
            name = "sage_lower_vqvae" if "lower" in cfg.lower() else "sage_upper_vqvae"
        words = ["python", "train.py", f"model={name}", "data=amass", f"experiment={experiment_of(cfg)}"]
        return [_listed(words)]

    script = "train_vqvae.py" if model == "vqvae" else f"train_{model.removeprefix('sage_')}.py"
    notes = ("python train.py pipeline=sage runs all stages in order.",)
    return Command("SAGE", script, _CFG, build, notes)


def _test(model: str) -> Command:
    def build(arguments: Arguments) -> list[list[str]]:
        cfg = arguments.get("cfg")
        name = model
        if model == "vqvae":
            name = "sage_lower_vqvae" if "lower" in cfg.lower() else "sage_upper_vqvae"
        words = ["python", "evaluate.py", f"model={name}", "official=OUTPUTS", "data=amass"]
        return [_listed([*words, f"experiment={experiment_of(cfg)}"])]

    script = "test_vqvae.py" if model == "vqvae" else f"test_{model.removeprefix('sage_')}.py"
    notes = ("OUTPUTS is the authors' unpacked archive; without official= your best run is evaluated.",)
    return Command("SAGE", script, _CFG, build, notes)


def _prepare(arguments: Arguments) -> list[list[str]]:
    return [["python", "prepare.py", "data=amass", f"raw={arguments.get('root_dir', 'AMASS')}"]]


_TRACK = ["contrapposto", "predict", "task=sage_track", "input=LOG.txt", "output=out/"]
_FIGURE = ["contrapposto", "convert", "input=MOTION.pkl", "output=out/", "task.formats=[glb]"]


COMMANDS = (
    Command(
        "SAGE",
        "prepare_data.py",
        {
            "root_dir": used(),
            "save_dir": unused(
                "the store is stores/amass; for another folder add paths.stores=FOLDER here and to all later commands"
            ),
            "support_dir": unused(
                "the shipped body is used; data.body=SMPLH_MALE.npz at training and evaluation"
            ),
        },
        _prepare,
    ),
    *(_train(model) for model in ("vqvae", "sage_first", "sage_second", "sage_decoder", "sage_refiner")),
    *(_test(model) for model in ("vqvae", "sage_first", "sage_second", "sage_decoder", "sage_refiner")),
    Command(
        "SAGE",
        "process_quan.py",
        {},
        lambda _: [[*_TRACK]],
        ("One command replaces process_quan.py and inference_realdemo.py: LOG.txt is the app's log.",),
    ),
    Command(
        "SAGE",
        "inference_realdemo.py",
        {"cfg": unused("task.checkpoint=FILE chooses the model")},
        lambda _: [[*_TRACK, "task.formats=[npz,bvh,glb,mp4,pkl]"]],
        (
            "LOG.txt is the app's log; devices are resampled to 60 frames/s by their times.",
            "pkl is their pickle; npz has the same arrays in AMASS layout.",
        ),
    ),
    Command(
        "SAGE",
        "smpl_animation_blender.py",
        {},
        lambda _: [[*_FIGURE, "task.texture=TEXTURE.png"]],
        (
            "Open the GLB in Blender: a skinned, animated body. No add-on is needed. MOTION.pkl: theirs, or our npz.",
            "TEXTURE.png has the front in its left half and the back in its right half. A texture of SMPL needs the "
            "official body in body_models/ and SMPL's layout: task.gender=male task.uv=smpl_uv.obj.",
        ),
    ),
)
