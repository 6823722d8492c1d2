"""The page in a real browser, where there is one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest

from contrapposto.systems.scail_pose.jobs import VideoJob
from contrapposto.systems.scail_pose.service.limits import MIB, Limits
from contrapposto.systems.scail_pose.service.request import Output, ProcessRequest
from contrapposto.systems.scail_pose.settings import OUTPUTS, Settings
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
    page.choose("image", tmp_path / "<b>me.png")
    assert page.run("return document.querySelector('#drop-image small').textContent") == "<b>me.png"
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
    wait_for(lambda: "finding people" in page.run("return document.getElementById('stage').textContent"))
    page.press("cancel")
    wait_for(lambda: page.words() == "Cancelled.")
    assert not page.run("return document.getElementById('go').disabled")


def test_jobs_are_listed_after_a_reload_and_results_stay_until_there_are_new_ones(
    page: Page, tmp_path: Path
) -> None:
    (tmp_path / "first.mp4").write_bytes(video(b"slow", size=(320, 240), frames=8))
    rows = "return [...document.querySelectorAll('#list li')].map(row => row.innerText)"
    page.choose("video", tmp_path / "first.mp4")
    page.press("go")
    wait_for(lambda: any("first.mp4" in row and "%" in row for row in page.run(rows)))
    page.browser.call("/refresh", {})
    wait_for(lambda: any("first.mp4" in row and "Done" in row for row in page.run(rows)))
    page.run("[...document.querySelectorAll('#list button')].find(b => b.textContent === 'Show').click()")
    wait_for(lambda: page.run("return document.getElementById('after').videoWidth") == 320)
    again = "[...document.querySelector('#list li').querySelectorAll('button')].find(b => b.textContent === 'Again')"
    wait_for(lambda: page.run(f"return Boolean({again})"))
    page.run(f"{again}.click()")
    wait_for(lambda: "%" in page.run(rows)[0])
    assert "Show" in page.run(rows)[0]  # the old result is there while the new one is made
    wait_for(lambda: "Done" in page.run(rows)[0])
    remove = again.replace("Again", "Remove")
    wait_for(lambda: page.run(f"return Boolean({remove})"))
    before = len(page.run(rows))
    page.run(f"{remove}.click()")
    wait_for(lambda: len(page.run(rows)) == before - 1)


def test_the_page_has_the_options_of_a_request(page: Page) -> None:
    """Each with a value that the service takes."""
    options = page.run("return wanted()")
    request = ProcessRequest(example_id="x", **options)
    rest = set(ProcessRequest.model_fields) - set(options) - {"example_id", "wait"}
    assert rest == {"use_multi", "frames"}  # for programs
    made = request.options(Limits(), {"width": 320, "height": 240})
    VideoJob("x", Path("x.mp4"), **made["job"])
    Settings.from_options(**{**made["settings"], "outputs": ["video"]})
    boxes = page.run("return [...document.querySelectorAll('#outputs input')].map(box => box.value)")
    assert {*boxes, "video"} == set(OUTPUTS) and {*OUTPUTS, "driving"} == set(get_args(Output))
