"""Coming from the originals: every command of the page is translated, and what comes out can be composed."""

import re
import shlex
from pathlib import Path

import pytest

from cli.compose import compose_config
from contrapposto.cli import COMMANDS, main
from contrapposto.errors import ConfigError
from contrapposto.tasks.predict import compose
from contrapposto.translate import translate
from contrapposto.translate.anerf import TRAIN, read_config

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/coming_from.md").read_text(encoding="utf-8")
ROWS = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| `python")]
THEIRS = [command for row in ROWS for command in re.findall(r"`(python [^`]*)`", row[0])]
OURS = [
    command
    for row in (line.split(" | ") for line in PAGE.splitlines() if line.startswith("| "))
    if len(row) > 1
    for command in re.findall(r"`((?:python|contrapposto) [^`]*)`", row[1])
]


def composed(line):
    """The configuration that a command of ours stands for; None for those without one."""
    words = [word for word in shlex.split(line) if word != "..."]
    if words[0] == "python":
        return compose_config(Path(words[1]).stem, words[2:])
    assert words[0] == "contrapposto" and words[1] in COMMANDS, line
    if words[1] == "predict":
        return compose(words[2:])
    return compose(["task=convert", *words[2:]]) if words[1] == "convert" else None


@pytest.mark.parametrize("command", THEIRS)
def test_a_command_of_an_original_is_translated(command):
    result = translate(command)
    assert result.commands and not result.unknown, result.text()
    for line in result.commands:
        composed(line)


@pytest.mark.parametrize("command", OURS)
def test_a_command_of_the_page_composes(command):
    composed(command)


def test_the_page_has_their_commands():
    assert len(THEIRS) >= 27
    scripts = {Path(shlex.split(command)[1]).name for command in THEIRS}
    assert {
        "test.py",
        "train.py",
        "run_nerf.py",
        "run_render.py",
        "render_mesh.py",
        "process_pose.py",
    } <= scripts
    assert {f"train_{stage}.py" for stage in ("vqvae", "first", "second", "decoder", "refiner")} <= scripts
    assert {"prepare_data.py", "process_quan.py", "inference_realdemo.py", "test_refiner.py"} <= scripts
    assert {"babel.py", "classify.py", "auto_encode.py", "train_gpt.py"} <= scripts


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "CUDA_VISIBLE_DEVICES=0 python run_nerf.py --expname x --N_rand 1024 --config configs/surreal/surreal.txt",
            ["data.rays.rays_per_step=1024", "module.loss=mse", "data.rays.images_per_step=128"],
        ),
        (
            "python run_nerf.py --n_iters=20000 --dataset_type mixamo --subject archer",
            ["trainer.max_epochs=20", "Archer"],
        ),
        (
            "python -m run_render --render_res 512 512 --runname R --entry james --dataset mixamo --ckptpath X.tar",
            ["mode=retarget", "task.height=512", "task.entry=mixamo/james", "task.background=black"],
        ),
        (
            "python process_pose.py --use_align --resolution [512, 896] --subdir 'a b'",
            ["'video=a b'", "[512,896]"],
        ),
        ("python process_pose.py --subdir x --resolution 256 448", ["[256,448]", "task.module.align=null"]),
        (
            "python scripts/train.py --out-dir o --n-epoch 5 --train-dset-cfg-file A.json --use-poisson False",
            ["vertex_weight=0"],
        ),
        (
            "python train_gpt.py --class_conditional 0 --vq_ckpt 'my file.pt'",
            ["module.network.actions=false", "my file.pt"],
        ),
        (
            "python auto_encode.py --n_layers 1 2 1 --model models.OnlineVQVAE",
            ["num_layers=[1,2,1]", "variant=online"],
        ),
        ("python train_refiner.py --cfg config_decoder/refiner_FULL.yaml", ["experiment=sage_s2"]),
        (
            "python test_vqvae.py --cfg config_vqvae/lower_vqvae.yaml",
            ["model=sage_lower_vqvae", "evaluate.py"],
        ),
    ],
)
def test_options_in_any_order(line, words):
    result = translate(line)
    assert not result.unknown, result.text()
    for word in words:
        assert word in "\n".join(result.commands), result.text()
    for command in result.commands:
        composed(command)


@pytest.mark.parametrize(
    ("line", "guess"),
    [
        ("python run_nerf.py --lrat 1e-4 --expname x", "--lrate"),
        ("python train_gpt.py --gpt_nlayers 8", "--gpt_nlayer"),
        ("python process_pose.py --subdri x", "--subdir"),
        ("python auto_encode.py --alpha_vertex 3", "--alpha_vert"),
        ("python run_render.py --dataset surreal --render_tpye bullet --entry hard", "--render_type"),
        ("python scripts/train.py --outdir exp --train-dset-cfg-file A.json", "--out-dir"),
        ("python train_gpt.py --vq_ckpt a.pt --class_condtional 1 --gpt_nhead 4", "--class_conditional"),
    ],
)
def test_misspelt_options_get_suggestions(line, guess):
    result = translate(line)
    assert [suggestion for _, suggestion in result.unknown] == [guess]
    assert f"did you mean {guess}?" in result.text()


@pytest.mark.parametrize(
    "option", ["--n_iters many", "--render_factor 1.5", "--cutoff_mm x", "--i_testset inf"]
)
def test_a_value_that_is_no_number_is_refused(option):
    with pytest.raises(ConfigError, match=option.split()[0]):
        translate(f"python run_nerf.py {option}")


@pytest.mark.parametrize(
    ("options", "copied"),
    [
        ("--nerf_args args.txt --ckptpath X.tar", False),
        ("--nerf_args logs/a/args.txt --ckptpath logs/a/5.tar", False),
        ("--ckptpath X.tar", False),
        ("--nerf_args mine.txt --ckptpath X.tar", True),
        ("--ckptpath logs/b/5.tar --nerf_args logs/a/args.txt", True),
    ],
)
def test_the_options_file_of_an_avatar_is_put_beside_its_checkpoint(options, copied):
    result = translate(f"python run_render.py {options} --dataset surreal --entry hard")
    copies = [line for line in result.commands if line.startswith("cp ")]
    assert bool(copies) == copied and not result.missing
    assert all(line.endswith("/args.txt") or line.endswith(" args.txt") for line in copies)


def test_options_without_a_counterpart_have_reasons():
    result = translate("python run_nerf.py --chunk 4096 --use_yuv --weight_decay 0.1")
    assert [name for name, _ in result.missing] == ["--chunk 4096", "--use_yuv", "--weight_decay 0.1"]
    assert all(len(why) > 10 for _, why in result.missing)
    assert all(option.ours or option.used or option.why for option in TRAIN.values())


def test_a_configuration_file_is_read(tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text("# mine\nN_rand = 512\nopt_pose = True\nuse_yuv = False\nunknown = 3\nN_samples=48\n")
    assert read_config(str(file)) == {"N_rand": ["512"], "opt_pose": [], "N_samples": ["48"]}
    result = translate(f"python run_nerf.py --config {file} --N_rand 256")
    assert "data.rays.rays_per_step=256" in result.commands[1] and "kind: axis_angle" in result.commands[1]
    sage = tmp_path / "odd.yaml"
    sage.write_text("PROTOCOL: 2_full_dataset\n")
    assert "experiment=sage_s2" in translate(f"python train_first.py --cfg {sage}").commands[0]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("huggingface-cli download yzd-v/DWPose --local-dir pretrained_weights/DWPose", "[yolox,dwpose]"),
        ("git clone https://huggingface.co/yzd-v/DWPose", "[yolox,dwpose]"),
        ("curl -LO https://huggingface.co/yzd-v/DWPose/resolve/main/dw-ll_ucoco_384.onnx", "[dwpose]"),
        (
            "wget https://github.com/isarandi/nlf/releases/download/v0.3.2/nlf_l_multi_0.3.2.torchscript",
            "[nlf]",
        ),
    ],
)
def test_downloads_of_weights(line, names):
    assert translate(line).commands == (f"contrapposto fetch scail-weights only={names}",)


@pytest.mark.parametrize("line", ["", "python train_everything.py", "ls -l", "'unbalanced"])
def test_other_lines_are_refused(line):
    with pytest.raises(ConfigError):
        translate(line)


def test_the_command(capsys):
    assert main(["translate", "python process_pose.py --subdir clip --use_align"]) == 0
    assert "task=scail_pose" in capsys.readouterr().out
    assert main(["translate", "python", "process_pose.py", "--subdri", "x"]) == 1
    assert main(["translate", "python other.py"]) == 2
    assert main(["translate", "--help"]) == 0
