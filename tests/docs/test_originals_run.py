"""Every command line of docs/coming_from.md is run to its result, at a small size and without a download."""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
import types
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from cli.compose import compose_config
from contrapposto import cli
from contrapposto.systems.scail_pose.weights import fetch_weights
from contrapposto.tasks.predict import compose, predict
from contrapposto.translate import translate
from contrapposto.video_file import VideoFile
from tests.docs import originals
from tests.docs.networks import serve_networks
from tests.docs.test_coming_from import PAGE, THEIRS
from tests.lightning_modules import anerf_tiny, npr_tiny, posegpt_tiny, sage_tiny

SHORT = (
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=1",
    "trainer.limit_val_batches=1",
    "trainer.limit_test_batches=1",
    "trainer.accelerator=cpu",
    "callbacks.media=null",
    "logger=csv",
)
DOWNLOADS = [
    "hf download yzd-v/DWPose yolox_l.onnx --local-dir pretrained_weights/DWPose",
    "hf download yzd-v/DWPose dw-ll_ucoco_384.onnx --local-dir pretrained_weights/DWPose",
    "wget -P pretrained_weights https://github.com/isarandi/nlf/releases/download/v0.3.2/nlf_l_multi_0.3.2.torchscript",
]
SPLITS = [f"prepare_annots_trimmed(type='{kind}', split='{split}', babel_dir='BABEL', amass_dir='AMASS')"
          for kind in ("smpl", "smplh", "smplx") for split in ("train", "val")]  # fmt: skip
MODES = {
    **dict.fromkeys(("retarget", "interpolate", "animate", "bubble"), "mixamo --entry james"),
    **dict.fromkeys(("poserot", "correction", "selected", "val"), "surreal"),
}
IMAGES = {"bullet": "count=2", "poserot": "count=3"} | dict.fromkeys(
    ("interpolate", "animate", "bubble", "correction"), "steps=2"
)
DATA = {
    "sage": (
        "data.batch_size=4",
        "data.repeats=1",
        "data.val_share=0.2",
        "data.max_val_clips=1",
        "data.max_val_frames=24",
    ),
    "posegpt": ("data.window=32", "data.batch_size=4", "data.steps_per_epoch=1", "data.val_share=0.2"),
    "anerf": (*anerf_tiny.SHARED[2:7], anerf_tiny.NETWORK),
    "npr": (*npr_tiny.NETWORK, "data.batch_size=2", "data.steps_per_epoch=1"),
}
SIZES = {**sage_tiny.OPTIONS, **posegpt_tiny.OPTIONS}
SIZES["sage_refiner"] += ("data.batch_size=2", "data.repeats=1", "data.sequence=24")
for stage in ("sage_first", "sage_second", "sage_decoder", "sage_refiner"):
    SIZES[stage] += ("data.cache=false", "module.steps=1")  # what few steps need is computed as they go
SIZES["posegpt_vqvae"] = (
    "module.network={hidden:32,num_layers:[0,2],heads:4,num_codes:32,code_dim:16}",
    *posegpt_tiny.OPTIONS["posegpt_vqvae"][1:],
)  # those of originals.write_models
TASKS = {
    "anerf_render": ("task.height=24", "task.frames=[0,1]", "task.formats=[png]"),
    "anerf_mesh": ("task.resolution=24", "task.threshold=1e-4", "task.largest=false"),
    "scail_pose": ("task.data.seconds=0.2", "task.data.resolution=[64,112]"),
    "npr_transfer": (),
    "sage_track": ("task.formats=[npz,pkl]",),
    "posegpt_sample": ("frames=16", "task.formats=[npz]"),
    "posegpt_forecast": ("frames=16", "task.formats=[npz]"),
}


def rows(title: str) -> list[list[str]]:
    """Cells of the table of a system."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]


def theirs(title: str) -> list[str]:
    """Command lines of an original, in the page's order; those that it only mentions written out."""
    lines = [line for row in rows(title) for line in re.findall(r"`(python [^`]*)`", row[0])]
    if title == "PoseGPT":
        lines[:1] = [f'python dataset/preprocessing/babel.py "{call}"' for call in SPLITS]
    if title == "A-NeRF":
        (bullet,) = (line for line in lines if "--render_type bullet" in line)
        for mode, entry in MODES.items():
            lines.append(bullet.replace("bullet", mode).replace("surreal --entry hard", entry))
    return lines


def run(line: str) -> None:
    """Run one of our commands with options that make it small, and look at what it left."""
    words = shlex.split(line.replace("CHECKPOINT.tar", "X.tar").replace("/SCENE", "/anerf_mixamo_james"))
    program, name, rest = words[0], words[1].removesuffix(".py"), words[2:]
    if name == "fetch":
        assert cli.main(words[1:]) == 0
    elif name == "view":
        from contrapposto.viewer.opening import open_paths

        assert open_paths([next(Path("render_output").rglob("*.ply"))])
    elif name == "serve":
        from tests.systems.scail_pose.service.common import serving

        with serving(Path("served")) as client:
            assert client.get("/health").status_code == 200
    elif program == "contrapposto":
        task = (
            "task=convert" if name == "convert" else next(word for word in rest if word.startswith("task="))
        )
        mode = next((word[5:] for word in rest if word.startswith("mode=")), "")
        few = [f"task.options.{IMAGES[mode]}"] if mode in IMAGES else []
        paths = predict(compose(joined([task, *rest, *TASKS.get(task[5:], ()), *few])))
        assert paths and all(path.is_dir() or path.stat().st_size for path in paths)
    elif name == "prepare":
        from cli.prepare import prepare

        store = prepare(compose_config("prepare", [*rest, "workers=1"]))
        assert json.loads((store / "manifest.json").read_text())
    else:
        model = next(word for word in rest if word.startswith("model=")).partition("=")[2]
        small = DATA[next(system for system in DATA if model.startswith(system))]
        sage_tiny.entry_point(name, joined([*rest, *SHORT, *small, *SIZES.get(model, ())]))
        if name == "train" and "trainer.fast_dev_run=true" not in rest:
            runs = next((w.partition("=")[2] for w in rest if w.startswith("paths.runs=")), "runs")
            newest = max((Path(runs) / model).glob("*/"), key=lambda path: path.stat().st_mtime)
            assert list((newest / "checkpoints").glob("*.ckpt")) and (newest / "metrics.json").is_file()


def joined(words: list[str]) -> list[str]:
    """Options, of which the last of a name counts."""
    return list({word.partition("=")[0]: word for word in words}.values())


def run_all(lines: list[str]) -> None:
    for line in lines:
        result = translate(line)
        assert result.commands and not result.unknown, result.text()
        for command in result.commands:
            print(f"\n## {line}\n## {command}")  # shown where it fails
            began = time.process_time()
            run(command)
            print(f"## {time.process_time() - began:.1f} s")


def test_no_line_of_the_page_is_left_out():
    lines = [line for title in ("NPR", "A-NeRF", "SCAIL-Pose", "SAGE", "PoseGPT") for line in theirs(title)]
    assert set(THEIRS) <= set(lines)
    assert len(set(lines)) == 44


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_npr(place):
    originals.write_npr(place)
    run_all(theirs("NPR"))


def test_anerf(place):
    originals.write_anerf(place)
    run_all(theirs("A-NeRF"))


@pytest.mark.slow
def test_scail_pose(place, monkeypatch):
    """The downloads from a server of the test, then the pose videos with what came."""
    server, catalogue = serve_networks(place / "server")
    monkeypatch.setattr(fetch_weights, "__defaults__", (*fetch_weights.__defaults__[:-1], catalogue))
    if not find_spec("torchvision"):  # NLF's operations, which the small network does not use
        monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    originals.write_inputs(place)
    run_all(DOWNLOADS)
    server.close()
    first, *others = theirs("SCAIL-Pose")
    run_all([first])
    with np.load(place / "clip" / "motion.npz") as people:
        assert len(people["joints"]) > 1
        assert np.allclose(people["joints"][:, 0, 2], 4000, atol=50)  # where the small NLF sees everybody
    run_all(others)
    for name in ("rendered.mp4", "rendered_aligned.mp4"):
        assert max(frame.max() for _, frame in VideoFile.open(place / "clip" / name).frames()) > 100


@pytest.mark.slow
def test_sage(place):
    originals.write_amass_like(place)
    originals.write_models(place)
    originals.write_inputs(place)
    run_all(theirs("SAGE"))
    run("python prepare.py data=sage_folder raw=dataset")


@pytest.mark.slow
def test_posegpt(place):
    originals.write_amass_like(place)
    originals.write_models(place)
    originals.write_inputs(place)
    run_all(theirs("PoseGPT"))
    run("python prepare.py data=posegpt_folder raw=FOLDER")
    run("contrapposto predict task=posegpt_sample action=walk output=out")
    run("contrapposto predict task=posegpt_forecast past=clip.npz action=walk output=out")
