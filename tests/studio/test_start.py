"""app.py, and options of `contrapposto studio`. The command itself is run in test_page.py."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from contrapposto.studio.__main__ import main
from tests.browser import free_port
from tests.studio.serving import started
from tools.space import write_space


def tabs(address: str, **headers: str) -> list[str]:
    request = urllib.request.Request(f"{address}config", headers=headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        components = json.load(answer)["components"]
    return [one["props"]["id"] for one in components if one["type"] == "tabitem"]


@pytest.mark.slow
def test_a_space_serves_the_page_under_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder alone, without the checkout, as a Space runs it."""
    pytest.importorskip("gradio", reason="gradio is not installed: pip install 'gradio>=6,<7'")
    space = write_space(tmp_path / "space")
    (tmp_path / "temporary").mkdir()
    port = free_port()
    monkeypatch.setenv("GRADIO_SERVER_PORT", str(port))
    with started(["app.py"], tmp_path / "temporary", port, space) as page:
        names = tabs(page.url, Host="someone-contrapposto.hf.space")
    assert names == ["track", "generate", "mesh", "avatar", "people"]
    files = {file.name for file in space.iterdir()}
    assert files >= {"README.md", "requirements.txt", "app.py", "LICENSE"}
    largest = max(file.stat().st_size for file in space.rglob("*") if file.is_file())
    assert largest < 10 * 2**20  # larger files need Git LFS


@pytest.mark.parametrize("option", ["--max-seconds", "--max-side"])
def test_options_that_cannot_be_used(capsys: pytest.CaptureFixture[str], option: str) -> None:
    assert main([option, "0"]) == 2
    assert f"{option} 0" in capsys.readouterr().err
