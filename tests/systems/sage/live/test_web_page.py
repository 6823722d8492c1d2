"""The pages of live tracking in Chromium, with an emulated headset."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import numpy as np
import pytest

from contrapposto.io.devices import CONVENTIONS
from contrapposto.synthetic import generate_sequence
from contrapposto.systems.sage.live.recording import Recording
from contrapposto.systems.sage.live.server import LiveSession
from contrapposto.systems.sage.live.tracker import SparseTracker
from contrapposto.systems.sage.live.wearer import Wearer
from contrapposto.systems.sage.live.web_server import WebServer
from contrapposto.systems.sage.methods import load_tracker
from tests.browser import Browser
from tests.systems.sage.live.headset import Headset

pytest.importorskip("websockets", reason="websockets is not installed")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[WebServer]:
    if not shutil.which("chromedriver"):
        pytest.skip("no chromedriver on this machine (Debian: chromium-driver)")
    model = load_tracker("tracker")

    def session(page) -> LiveSession:
        axes = CONVENTIONS["openxr"]
        wearer = Wearer(None, axes.hands_known)
        return LiveSession(SparseTracker(model), None, axes, wearer, Recording(), page, pause=0.0)

    server = WebServer(("127.0.0.1", 0), session)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def headset(server: WebServer) -> Iterator[Headset]:
    headset = Headset(server.url, generate_sequence([("march", 2), ("wave both hands", 2)], seed=2, fps=60))
    yield headset
    headset.close()


def body_pixels(browser: Browser) -> int:
    """How many pixels of a screenshot have a body's hue: blue well above red."""
    image = browser.image().astype(int)
    return int(((image[..., 2] - image[..., 0] > 50) & (image[..., 2] > 100)).sum())


def test_a_wearer_sees_the_calibrated_body_in_the_mirror(server: WebServer, headset: Headset) -> None:
    headset.enter()
    headset.wait("return /hands count once/.test(live.status)")
    headset.calibrate()
    headset.wait("return live.bodies > 60 && live.median > 0")
    assert body_pixels(headset.browser) > 300
    (wearer,) = server.wearers.values()
    assert wearer.session.wearer.hands_known
    assert {"network", "model", "drawn", "returned"} <= set(wearer.report()["parts"])
    headset.wait("return /packet to drawn body/.test(document.getElementById('report').textContent)")


def test_the_page_goes_on_after_a_drop(server: WebServer, headset: Headset) -> None:
    before = headset.run("return live.bodies")
    connections = headset.run("return live.connections")
    for client in list(server._clients):
        server._loop.call_soon_threadsafe(client.connection.transport.abort)
    headset.wait(f"return live.connections === {connections + 1}")
    headset.wait(f"return live.bodies > {before} + 20")
    assert len(server.wearers) == 1


def test_who_watches_sees_the_body(server: WebServer, headset: Headset) -> None:
    browser = Browser()
    try:
        browser.call("/url", {"url": f"{server.url}/watch"})
        end, text = time.monotonic() + 60, ""
        while body_pixels(browser) < 1000 or "packet to drawn body" not in text:
            assert time.monotonic() < end
            time.sleep(0.2)
            text = browser.call("/execute/sync", {"script": "return document.body.innerText", "args": []})
        assert "Wearer 1" in text and "Enter VR" not in text
    finally:
        browser.close()


def test_without_a_headset_the_page_says_what_to_do(server: WebServer) -> None:
    browser = Browser()
    try:
        browser.call("/url", {"url": server.url})
        script = {"script": "return [document.body.innerText, !!navigator.xr]", "args": []}
        text, _ = browser.call("/execute/sync", script)
        assert "headset's browser" in text and "Watch from this machine" in text
        image = browser.image()
        assert np.ptp(image.reshape(-1, 3), axis=0).max() > 100  # not a blank page
    finally:
        browser.close()
