"""Models to pass on: published from a run, fetched from an address, found like a run; and those that ship."""

import functools
import http.server
import json
import shutil
import threading

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from contrapposto.errors import ConfigError, InputError, MissingError
from contrapposto.fetch import fetch
from contrapposto.files import sha256
from contrapposto.models import CLASSES, load
from contrapposto.pretrained import load_pretrained
from contrapposto.publish import FILES, INDEX, publish
from contrapposto.runs import ZOO, best_run, finished_runs
from lightning_modules.posegpt import PoseGPTModule

OPTIONS = {
    "vqvae_network": {
        "variant": "causal",
        "hidden": 16,
        "num_layers": [0, 1],
        "heads": 2,
        "num_codes": 16,
        "code_dim": 8,
    },
    "network": {"width": 16, "num_layers": 1, "heads": 2, "block_size": 64},
    "vocabulary": ["walk", "sit"],
    "window": 32,
    "skeleton": "smpl22",
}


@pytest.fixture
def run(tmp_path):
    """A finished run of a tiny generator, whose auto-encoder lay elsewhere on this machine."""
    torch.manual_seed(0)
    module = PoseGPTModule(**OPTIONS)
    folder = tmp_path / "runs" / "posegpt_gpt" / "2026-01-01_00-00-00"
    (folder / "checkpoints").mkdir(parents=True)
    content = {
        "state_dict": module.state_dict(),
        "hyper_parameters": {**dict(module.hparams), "vqvae": str(tmp_path / "best.ckpt")},
        "provenance": {"data": {"licence": "CC0-1.0"}},
        "optimizer_states": [torch.zeros(1000)],
    }
    torch.save(content, folder / "checkpoints" / "best.ckpt")
    config = {
        "name": "posegpt_gpt",
        "module": {
            "_target_": "lightning_modules.posegpt.PoseGPTModule",
            "vqvae": str(tmp_path / "best.ckpt"),
        },
        "paths": {"run": str(folder), "runs": str(tmp_path), "stores": "stores"},
        "data": {"name": "toy", "store": "${paths.stores}/toy"},
        "overrides": [
            f"module.vqvae='{tmp_path}/runs/posegpt_vqvae/A/best.ckpt'",
            "paths.stores='/mnt/somebody/stores'",
        ],
    }
    OmegaConf.save(OmegaConf.create(config), folder / "config.yaml")
    result = {"model": "posegpt_gpt", "experiment": None, "data": {"name": "toy", "licence": "CC0-1.0"}}
    result |= {
        "checkpoint": "checkpoints/best.ckpt",
        "checkpoint_sha256": "",
        "monitor": "val/x",
        "mode": "min",
        "score": 1.0,
    }
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "metrics.json").write_text(json.dumps({"best": {"step": 3, "metrics": {"val/x": 1.0}}}))
    provenance = {
        "command": [
            "train.py",
            "model=posegpt_gpt",
            f"module.vqvae={tmp_path}/runs/posegpt_vqvae/A/best.ckpt",
        ],
        "git": {"commit": "0" * 40},
        "seed": 1,
        "seconds": 60.0,
    }
    provenance |= {"versions": {"contrapposto": "0"}, "device": {"type": "cpu"}, "parameters": 5}
    (folder / "provenance.json").write_text(json.dumps(provenance))
    return folder


def test_a_published_model_is_the_run_in_half_precision(run, tmp_path):
    folder = publish(run, tmp_path / "zoo")
    (result,) = finished_runs(tmp_path / "zoo", "posegpt_gpt")
    assert result.run == folder and result.checkpoint_sha256 == sha256(result.checkpoint)
    (tmp_path / "runs").rename(tmp_path / "gone")
    trained = load_pretrained(folder)
    assert {name: trained.options[name] for name in OPTIONS} == OPTIONS
    torch.manual_seed(0)
    for name, value in PoseGPTModule(**OPTIONS).state_dict().items():
        torch.testing.assert_close(trained.state[name], value, rtol=1e-3, atol=1e-6)
    assert list(load(folder).vocabulary.names) == OPTIONS["vocabulary"]
    text = "".join((folder / name).read_text() for name in FILES[:3])
    assert str(tmp_path) not in text and "somebody" not in text
    card = (folder / "README.md").read_text()
    assert str(tmp_path) not in card
    assert "python train.py model=posegpt_gpt module.vqvae=runs/posegpt_vqvae/A/best.ckpt" in card
    assert "CC0-1.0" in card and "| val/x | 1 |" in card
    header = yaml.safe_load(card.split("---\n")[1])  # as the Hugging Face Hub reads it
    assert header["library_name"] == "contrapposto" and header["license_name"] == "CC0-1.0"
    assert header["model-index"][0]["results"][0]["metrics"] == [{"type": "val/x", "value": 1.0}]
    assert "MotionGenerator.from_pretrained" in card


def test_what_would_not_work_elsewhere_is_not_published(run, tmp_path):
    file = run / "checkpoints" / "best.ckpt"
    content = torch.load(file, weights_only=True)
    content["hyper_parameters"]["body"] = "/home/somebody/SMPLH.npz"
    torch.save(content, file)
    with pytest.raises(ConfigError, match="SMPLH"):
        publish(run, tmp_path / "zoo")
    assert not list((tmp_path / "zoo").rglob("*.safetensors"))
    (run / "result.json").unlink()
    with pytest.raises(ConfigError, match="no finished run"):
        publish(run, tmp_path / "zoo")


def test_a_model_is_fetched_and_checked(run, tmp_path):
    folder = publish(run, tmp_path / "zoo")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/zoo/posegpt_gpt/{folder.name}"
    digest, mine = sha256(folder / INDEX), tmp_path / "mine"
    try:
        with pytest.raises(InputError, match="not the expected file"):
            fetch(address, "0" * 64, mine)
        fetched = fetch(address, digest, mine)
        assert best_run(mine, "posegpt_gpt", "toy", None).run == fetched
        with pytest.raises(ConfigError, match="there already"):
            fetch(address, digest, mine)
        shutil.rmtree(mine)
        (folder / "config.yaml").write_text("name: other\n")
        with pytest.raises(InputError, match="not the expected file"):
            fetch(address, digest, mine)
        assert not list(mine.rglob("*.safetensors"))
    finally:
        server.shutdown()


SHIPPED = sorted(path.parent for path in ZOO.glob("*/*/result.json"))


def test_the_zoo_is_small():
    assert SHIPPED
    assert sum(file.stat().st_size for file in ZOO.rglob("*")) < 36 * 2**20


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.parent.name)
def test_a_shipped_model_is_found_whole_and_free(folder, tmp_path, capsys):
    index = json.loads((folder / INDEX).read_text())
    card = "README.md" if (folder / "README.md").is_file() else "card.md"
    names = [card if name == "README.md" else name for name in FILES]
    assert index == {name: sha256(folder / name) for name in names}
    (known,) = [result for result in finished_runs(ZOO, folder.parent.name) if result.run == folder]
    actual = best_run(tmp_path, known.model, known.data["name"], known.experiment)
    assert actual.run == folder and "bundled" in capsys.readouterr().out
    with pytest.raises(MissingError):
        best_run(tmp_path, known.model, known.data["name"], known.experiment, shipped=False)
    licence = known.data["licence"].lower()
    assert "nc" not in licence.replace("licence", "").split() and "non-commercial" not in licence
    assert all(value.isfinite().all() for value in load_pretrained(folder).state.values())
    if known.model in CLASSES:
        load(folder)


def test_errors_of_the_command_lines_are_one_message(tmp_path, capsys):
    from contrapposto import fetch as fetching
    from contrapposto import publish as publishing

    assert publishing.main([]) == 2 and "contrapposto publish" in capsys.readouterr().out
    assert publishing.main([str(tmp_path)]) == 2 and "no finished run" in capsys.readouterr().err
    assert fetching.main(["http://127.0.0.1:9/zoo/m/n"]) == 2 and "sha256=HASH" in capsys.readouterr().out


def test_the_card_of_a_resumed_run_has_the_first_command_and_all_of_its_time(run, tmp_path):
    file = run / "provenance.json"
    first = json.loads(file.read_text())
    file.write_text(json.dumps(first | {"command": ["train.py", f"resume={run}"], "earlier": [first]}))
    card = (publish(run, tmp_path / "zoo") / "README.md").read_text()
    assert "python train.py model=posegpt_gpt module.vqvae" in card and "resume=" not in card
    assert "2 minutes" in card
