"""The studio: commands of what was entered, and every tab in a real browser, where gradio and a browser are."""

from __future__ import annotations

import json
import shutil
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contrapposto.errors import InputError
from contrapposto.studio import commands
from contrapposto.tasks.predict import compose
from tests.browser import Browser, free_port
from tests.studio.serving import Started, started

CSV = "time,head_x\n"


def test_what_was_entered_becomes_commands(tmp_path: Path) -> None:
    upload = tmp_path / "my [odd], name.CSV"
    upload.write_text(CSV)
    (step,) = commands.track(tmp_path / "job", str(upload), 2.0, 1.8, False)
    config = compose(step)
    assert Path(config.input).read_text() == CSV
    assert (config.task.seconds, config.task.height) == (2, 1.8)
    assert commands.shown([step], tmp_path / "job").startswith(
        "contrapposto predict task=sage_track input=my_odd_name.csv task.seconds=2"
    )
    (step,) = commands.generate(tmp_path / "job", ["walk", "sit down"], 1.5, None, 3, True)
    config = compose(step)
    assert (list(config.action), config.frames, config.seed) == (["walk", "sit down"], 45, 3)


@pytest.mark.parametrize("name", ["scene.gltf", "notes"])
def test_files_of_other_formats_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match=r"mesh"):
        commands.pose_mesh(tmp_path, str(tmp_path / name), None, 1.0, False)
    with pytest.raises(InputError, match=r"is not a video"):
        commands.find_people(tmp_path, str(tmp_path / name), None, 1.0, 256)
    with pytest.raises(InputError, match=r"upload one"):
        commands.track(tmp_path, None, 1.0, None, False)


class Page:
    """The page in Chromium."""

    CALM = """
        const ask = window.requestAnimationFrame;
        window.requestAnimationFrame = (work) => setTimeout(() => ask(work), 400);
        const style = document.createElement('style');
        style.textContent = '* { animation: none !important; transition: none !important }';
        document.head.append(style);
    """
    """Without a graphics card Chromium draws by the processor: animations and the 3D view take most of a test's time."""

    def __init__(self, url: str) -> None:
        self.browser = Browser()
        self.browser.call("/url", {"url": url})
        self.run(self.CALM)
        self.wait("return document.querySelectorAll('button[role=tab]').length >= 5")

    def run(self, script: str) -> Any:
        return self.browser.call("/execute/sync", {"script": script, "args": []})

    def wait(self, script: str, seconds: float = 300.0) -> None:
        end = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < end, f"{script} did not come true; toasts: {self.toasts()}"
            time.sleep(0.2)

    def toasts(self) -> str:
        return str(
            self.run("return [...document.querySelectorAll('.toast-body')].map(e => e.innerText).join()")
        )

    def press(self, text: str) -> None:
        """Click the button of the open tab, once it is there."""
        found = (
            "[...document.querySelectorAll('button')]"
            f".find(b => b.offsetParent && b.textContent.includes({json.dumps(text)}))"
        )
        self.wait(f"return Boolean({found})")
        self.run(f"{found}.click()")

    def open(self, tab: str) -> None:
        self.run(
            f"[...document.querySelectorAll('button[role=tab]')].find(b => b.textContent.includes({json.dumps(tab)})).click()"
        )

    def upload(self, path: Path) -> None:
        """Put another file in the place of the first one of the open tab."""
        shown = "[...document.querySelectorAll('%s')].find(e => e.parentElement.offsetParent)"
        self.run(f"""return {shown % 'button[aria-label="Clear"]'}.click()""")
        self.wait(f"return {shown % 'input[type=file]'}")
        self.run(f"{shown % 'input[type=file]'}.id = 'chosen'")
        element = self.browser.call("/element", {"using": "css selector", "value": "#chosen"})
        self.browser.call(f"/element/{next(iter(element.values()))}/value", {"text": str(path)})

    def links(self) -> list[str]:
        return list(
            self.run(
                "return [...document.querySelectorAll('a[download]')].filter(a => a.offsetParent).map(a => a.href)"
            )
        )


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """The command, with limits that make every job short."""
    pytest.importorskip("gradio", reason="gradio is not installed: pip install 'contrapposto[studio]'")
    port = free_port()
    options = ["--port", str(port), "--max-seconds", "0.5", "--max-side", "224"]
    with started(["-m", "contrapposto.studio", *options], tmp_path_factory.mktemp("studio"), port) as process:
        yield process


@pytest.fixture(scope="module")
def page(studio: Started) -> Iterator[Page]:
    if not shutil.which("chromedriver"):
        pytest.skip("no chromedriver on this machine (Debian: chromium-driver)")
    page = Page(studio.url)
    yield page
    page.browser.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tab", "button", "endings"),
    [
        ("Headset", "Track the body", (".glb", ".npz", ".bvh")),
        ("Label", "Generate", (".glb", ".npz", ".bvh")),
        ("Motion →", "Pose the mesh", (".glb",)),
        ("Avatar", "Draw the avatar", (".mp4", ".glb", ".html")),
        ("Video →", "Find the people", (".mp4", ".glb", ".bvh")),
    ],
)
def test_every_tab_gives_a_result_at_once(
    page: Page, tab: str, button: str, endings: tuple[str, ...]
) -> None:
    page.open(tab)
    page.press(button)
    page.wait(
        "return [...document.querySelectorAll('.cm-content')]"
        ".some(e => e.offsetParent && e.innerText.includes('contrapposto predict'))"
    )
    links = page.links()
    for ending in endings:
        link = next(link for link in links if link.endswith(ending))
        with urllib.request.urlopen(link, timeout=10) as answer:
            assert len(answer.read()) > 1000
    page.wait("return [...document.querySelectorAll('canvas')].some(c => c.offsetParent && c.width > 100)")


@pytest.mark.slow
def test_the_3d_view_shows_the_result(page: Page) -> None:
    page.open("Motion →")
    where = page.run(
        "const r = [...document.querySelectorAll('canvas')].find(c => c.offsetParent).getBoundingClientRect();"
        "return [r.left, r.top, r.right, r.bottom]"
    )
    left, top, right, bottom = (max(0, int(value)) for value in where)
    end, colors = time.monotonic() + 300, 0
    while colors < 200 and time.monotonic() < end:  # a grey background has few
        view = page.browser.image()[top + 40 : bottom, left:right]
        colors = len(np.unique(view.reshape(-1, 3), axis=0))
    assert colors >= 200


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere_and_other_hosts_are_refused(page: Page, studio: Started) -> None:
    origins = page.run(
        "return [...new Set(performance.getEntriesByType('resource').map(e => new URL(e.name).origin))]"
    )
    assert origins == [studio.url.rstrip("/")]
    request = urllib.request.Request(studio.url, headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request, timeout=10)


@pytest.mark.slow
def test_a_wrong_file_gives_a_message_without_folders(page: Page, tmp_path: Path) -> None:
    (tmp_path / "broken.csv").write_text(CSV)
    page.open("Headset")
    page.upload(tmp_path / "broken.csv")
    page.wait(r"return /broken\s*\.csv/.test(document.body.innerText)")
    page.press("Track the body")
    page.wait("return document.querySelectorAll('.toast-body').length > 0")
    assert "broken.csv" in page.toasts() and "/tmp" not in page.toasts()


@pytest.mark.slow
def test_the_command_leaves_nothing_behind(studio: Started) -> None:
    """The last one: it ends the command."""
    assert list(studio.folder.glob("contrapposto-studio-*"))
    studio.process.send_signal(signal.SIGTERM)
    assert studio.process.wait(60) == 0
    assert not list(studio.folder.glob("contrapposto-studio-*"))
