"""Every command of the README runs: small where it would take long, composed alone where it needs a download."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from cli.compose import compose_config
from contrapposto.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SMALLER = {  # by task: options that keep a command short
    "task=sage_track": "task.seconds=0.5 task.formats=[npz]",
    "task=posegpt_sample": "frames=16 count=1 task.formats=[npz]",
    "task=npr_transfer": "task.seconds=0.1 task.formats=[glb]",
    "task=npr_generate": "count=2 task.formats=[obj]",
    "task=anerf_render": "task.options={count:1} task.formats=[png] task.height=32",
    "task=scail_pose": "task.data.seconds=0.3 task.data.resolution=[64,96]",
    "pipeline=label_to_character": "frames=16",
    "pipeline=avatar_from_video": "steps=40 motion=short.npz chain.turntable.options.task.options.count=2",
    "convert": "task.formats=[bvh]",
}
NOT_RUN = (
    "view",
    "live",
    "serve",
    "studio",
)  # they serve pages until they are stopped; tests/test_viewer.py runs them


def commands() -> list[str]:
    blocks = re.findall(r"^```bash\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = [line.split(" #")[0].strip() for line in "".join(blocks).splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


OURS = [command for command in commands() if command.startswith("contrapposto ")]
PYTHON = [command for command in commands() if command.startswith("python ")]


def test_every_command_is_of_a_known_kind():
    for command in commands():
        words = command.split()
        if words[0] == "make":
            targets = [word for word in words[1:2] if "=" not in word]
            assert all(
                re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE) for target in targets
            )
        elif words[0] == "python":
            assert (ROOT / words[1]).is_file(), command
        elif words[0] == "contrapposto":
            assert words[1] in COMMANDS, command
        else:
            assert words[0] in ("git",) or command.startswith("CLIP="), command
    assert len(OURS) >= 9 and len(PYTHON) >= 5


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """What the README's file names stand for: the shipped clip, the shipped body as a mesh, a video of a person."""
    from contrapposto.body import load_body
    from contrapposto.io import read_motion, write_motion
    from contrapposto.mesh import MeshAsset, write_mesh

    folder = tmp_path_factory.mktemp("readme")
    clip = ROOT / "contrapposto/assets/motion/cmu_01_01.npz"
    body = load_body()
    write_mesh(folder / "mine.glb", MeshAsset(body.v_template.numpy(), body.faces.numpy(), name="mine"))
    short = read_motion(clip).trim(0.0, 0.5).resample(10)
    write_motion(folder / "short.npz", short)
    write_motion(folder / "clip.mp4", short)
    return {"CLIP": str(clip), "folder": folder}


@pytest.mark.slow
@pytest.mark.parametrize("command", OURS, ids=lambda command: "_".join(command.split()[1:3]))
def test_a_command_of_the_readme_runs(command, inputs, tmp_path, monkeypatch, capsys):
    words = shlex.split(command.replace("$CLIP", inputs["CLIP"]))[1:]
    if words[0] in NOT_RUN:
        pytest.skip("serves a page until it is stopped")
    for name in ("mine.glb", "clip.mp4", "short.npz"):
        shutil.copy(inputs["folder"] / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stores").symlink_to(inputs["folder"] / "stores")
    (inputs["folder"] / "stores").mkdir(exist_ok=True)
    smaller = next((options for name, options in SMALLER.items() if name in words), "")
    names = [word.partition("=")[0] for word in smaller.split()]
    words = [word for word in words if word.partition("=")[0] not in names] + smaller.split()
    assert main(words) == 0, capsys.readouterr().err
    if words[0] != "doctor":
        assert any(path.is_file() for path in (tmp_path / "out").rglob("*"))


@pytest.mark.parametrize("command", PYTHON)
def test_a_command_of_the_suite_composes(command):
    script, *words = shlex.split(command)[1:]
    config = compose_config(Path(script).stem, [word for word in words if not word.startswith("-")])
    assert config.data is not None or "pipeline" in command


@pytest.mark.slow
def test_the_readme_prepares_trains_and_evaluates(tmp_path, monkeypatch):
    """The same commands with little data and few steps."""
    monkeypatch.chdir(ROOT)
    paths = [f"paths.stores={tmp_path / 'stores'}", f"paths.runs={tmp_path / 'runs'}"]
    quick = [*paths, "logger=csv", "trainer.accelerator=cpu"]
    run("prepare", "prepare.py data=demo", [paths[0], "data.options.minutes=0.3", "workers=1"])
    small = [
        "module.network={width: 16, heads: 2, layers: 1, dropout: 0}",
        "trainer.max_steps=2",
        "data.batch_size=4",
    ]
    run(
        "train",
        "train.py model=sparse_transformer",
        [*quick, *small, "data.repeats=2", "callbacks.media=null"],
    )
    (result,) = (tmp_path / "runs/sparse_transformer").glob("*/result.json")
    assert result.is_file()


def run(name, start, more):
    command = next(command for command in PYTHON if start in command)
    words = [
        word
        for word in shlex.split(command)[2:]
        if word.partition("=")[0] not in {m.partition("=")[0] for m in more}
    ]
    module = __import__(f"cli.{name}", fromlist=[name])
    return getattr(module, name)(compose_config(name, [*words, *more]))
