"""What `verify` finds."""

import json
import shutil

from cli.verify import card, one_step
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


def test_a_card_of_other_data_is_found(tmp_path):
    folder = next(f for f in published_folders() if json.loads((f / "result.json").read_text())["score"])
    data = json.loads((folder / "result.json").read_text())["data"]["name"]
    assert card(folder, str(tmp_path), str(tmp_path)).ok is None  # nothing to compare with
    (tmp_path / data).mkdir()
    (tmp_path / data / "manifest.json").write_text('{"content_hash": "other"}')
    actual = card(folder, str(tmp_path), str(tmp_path))
    assert actual.ok is False and "the store has the hash other" in actual.detail


def test_a_model_without_its_earlier_stages_is_skipped(tmp_path):
    check = one_step("posegpt_gpt", str(tmp_path), str(tmp_path))
    assert check.ok is None and "posegpt_vqvae" in check.detail
