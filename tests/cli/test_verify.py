"""What `verify` finds."""

import json
import shutil
from pathlib import Path

import pytest

from cli import verify
from cli.verify import card, one_step, stated, store_hash
from contrapposto.data.prepare import prepare
from contrapposto.verify import check_models, main, published_folders


def test_shipped_models_are_as_published(tmp_path, capsys):
    assert main([f"output={tmp_path / 'verify.json'}"]) == 0
    content = json.loads((tmp_path / "verify.json").read_text())
    assert content["ok"] and len(content["checks"]) == 2 * len(published_folders())
    assert " 0 failed" in capsys.readouterr().out


def test_a_changed_file_is_found(tmp_path):
    folder = published_folders()[0]
    copy = tmp_path / folder.parent.name / folder.name
    shutil.copytree(folder, copy)
    weights = copy / json.loads((copy / "result.json").read_text())["checkpoint"]
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    files, _ = check_models(tmp_path)
    assert not files.ok and "is not the file that was published" in files.detail


def test_a_card_of_other_data_is_found(tmp_path, stores):
    folder = next(f for f in published_folders() if f.parent.name == "tracker")
    data = json.loads((folder / "result.json").read_text())["data"]["name"]
    assert card(folder, str(tmp_path), str(tmp_path)).ok is None  # nothing to compare with
    shutil.copytree(stores / "tiny", tmp_path / data)
    actual = card(folder, str(tmp_path), str(tmp_path))
    assert actual.ok is False and f"the store has the hash {store_hash(tmp_path / data)}" in actual.detail


@pytest.mark.skipif(
    "avx512f" not in Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else True,
    reason="the last bits of the demo store depend on the processor: the cards are from one with AVX-512",
)
def test_cards_state_figures_of_the_demo_store_as_it_is(tmp_path):
    """Where the demo data change, the figures of models that learnt from them have to be measured again."""
    content = store_hash(prepare("demo", output=tmp_path / "demo", workers=1).path)
    results = [json.loads((folder / "result.json").read_text()) for folder in published_folders()]
    hashes = {result["model"]: stated(result)[0] for result in results if result["data"]["name"] == "demo"}
    assert hashes and set(hashes.values()) == {content}, "contrapposto verify cards=update"


def test_a_model_without_its_earlier_stages_is_skipped(tmp_path):
    check = one_step("posegpt_gpt", str(tmp_path), str(tmp_path))
    assert check.ok is None and "posegpt_vqvae" in check.detail


def test_a_step_of_a_stage_follows_those_before_it(stores, tmp_path, monkeypatch):
    """The order is that of the stages, and each starts from the checkpoint of the one before."""
    (tmp_path / "stores").mkdir()
    shutil.copytree(stores / "tiny", tmp_path / "stores" / "demo")
    monkeypatch.setattr(verify, "ONE_STEP", (*verify.ONE_STEP, "data.val_share=0.2"))
    checks = verify.training_steps(
        str(tmp_path / "stores"), str(tmp_path / "runs"), ["posegpt_gpt", "posegpt_vqvae"]
    )
    assert [(check.name, check.ok) for check in checks] == [
        ("one step of posegpt_vqvae", True),
        ("one step of posegpt_gpt", True),
    ]
