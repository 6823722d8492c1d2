"""The page in a real browser, where there is one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from contrapposto.systems.scail_pose.service.limits import MIB, Limits
from tests.browser import Browser
from tests.systems.scail_pose.service.common import picture, serving, video, wait_for

pytestmark = pytest.mark.slow


class Page:
    """The service's page in Chromium."""

    def __init__(self, client: httpx.Client) -> None:
        self.browser = Browser()
        self.browser.call("/url", {"url": str(client.base_url)})

    def run(self, script: str) -> Any:
        return self.browser.call("/execute/sync", {"script": script, "args": []})

    def words(self) -> str:
        return str(self.run("return document.getElementById('words').textContent"))

    def choose(self, name: str, path: Path) -> None:
        found = self.browser.call("/element", {"using": "css selector", "value": f"#{name}"})
        self.browser.call(f"/element/{next(iter(found.values()))}/value", {"text": str(path)})

    def press(self, name: str) -> None:
        found = self.browser.call("/element", {"using": "css selector", "value": f"#{name}"})
        self.browser.call(f"/element/{next(iter(found.values()))}/click", {})


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if not shutil.which("chromedriver"):
        pytest.skip("no chromedriver on this machine (Debian: chromium-driver)")
    with serving(tmp_path_factory.mktemp("serve"), Limits(upload=MIB)) as client:
        page = Page(client)
        yield page
        page.browser.close()


def test_a_video_and_a_picture_become_a_pair(page: Page, tmp_path: Path) -> None:
    (tmp_path / "walk.mp4").write_bytes(video(size=(320, 240), frames=16))
    (tmp_path / "<b>me.png").write_bytes(picture())
    assert page.run("return document.getElementById('go').disabled")
    page.choose("video", tmp_path / "walk.mp4")
    page.choose("picture", tmp_path / "<b>me.png")
    assert page.run("return document.querySelector('#drop-picture small').textContent") == "<b>me.png"
    page.press("go")
    wait_for(lambda: "Done" in page.words())
    playing = (
        "return ['before', 'after'].map(id => document.getElementById(id))"
        ".every(v => v.videoWidth === 320 && v.currentTime > 0 && v.getBoundingClientRect().width > 100)"
    )
    wait_for(lambda: page.run(playing))
    links = page.run("return [...document.querySelectorAll('#files a')].map(a => a.textContent)")
    assert len(links) == 1 and links[0].startswith("rendered.mp4")
    page.press("play")
    page.run(
        "document.getElementById('seek').value = 0.5;"
        "document.getElementById('seek').dispatchEvent(new Event('input'))"
    )
    together = (
        "return ['before', 'after'].map(id => document.getElementById(id))"
        ".every(v => v.paused && Math.abs(v.currentTime - 1) < 0.1)"
    )
    wait_for(lambda: page.run(together))


def test_drop_cancel_and_errors(page: Page, tmp_path: Path) -> None:
    drop = """
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(BYTES)], "dropped.mp4"));
        document.getElementById("drop-video").dispatchEvent(
            new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
    """
    for content, words in ((b"no video", "not an mp4"), (b"0" * (MIB + 1), "too large")):
        page.run(drop.replace("BYTES", json.dumps(list(content))))
        assert page.run("return document.querySelector('#drop-video small').textContent") == "dropped.mp4"
        page.press("go")
        wait_for(lambda: words in page.words())  # noqa: B023
    page.run(drop.replace("BYTES", json.dumps(list(video(b"hang")))))
    page.press("go")
    wait_for(lambda: page.run("return document.getElementById('stage').textContent") == "finding people")
    page.press("cancel")
    wait_for(lambda: page.words() == "Cancelled.")
    assert not page.run("return document.getElementById('go').disabled")
