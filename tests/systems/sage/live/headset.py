"""An emulated headset in Chromium: iwer's WebXR device, moved by a clip, on the page of live tracking."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contrapposto import rotations as rot
from contrapposto.io.devices import CONVENTIONS, devices_of
from contrapposto.motion import Motion
from contrapposto.skeleton import SMPL22
from tests.browser import Browser

IWER = Path(__file__).with_name("iwer.min.js")
RATE = 72
_SCRIPT = """
(() => {
  const Plain = window.WebSocket;
  window.sockets = []; // so that a connection can be dropped
  window.WebSocket = class extends Plain { constructor(...given) { super(...given); sockets.push(this); } };
  // The display of a Quest: 72 frames a second, whatever the browser's window has.
  const waiting = new Map(); let last = 0;
  window.requestAnimationFrame = call => { waiting.set(++last, call); return last; };
  window.cancelAnimationFrame = id => waiting.delete(id);
  let due = performance.now();
  const tick = () => {
    const calls = [...waiting.values()]; waiting.clear();
    calls.forEach(call => call(performance.now()));
    due = Math.max(due + 1000 / RATE, performance.now());
    setTimeout(tick, due - performance.now());
  };
  tick();
  const device = new IWER.XRDevice(IWER.metaQuest3);
  device.installRuntime({ forceInstall: true });
  const poses = POSES;
  window.headset = { device, part: "t_pose", begin: performance.now() };
  const place = (thing, p) => { thing.position.set(p[0], p[1], p[2]); thing.quaternion.set(p[4], p[5], p[6], p[3]); };
  setInterval(() => {
    const frames = poses[headset.part];
    const frame = frames[Math.floor((performance.now() - headset.begin) / 1000 * RATE) % frames.length];
    place(device, frame[0]); place(device.controllers.left, frame[1]); place(device.controllers.right, frame[2]);
  }, 5);
})();
"""


def t_pose() -> Motion:
    """A figure in the T-pose above the origin, one frame, z up."""
    rotations = np.zeros((1, 22, 3), np.float32)
    rotations[:, 0, 0] = np.pi / 2
    return Motion(rotations, np.array([[0, 0, 0.95]], np.float32), float(RATE), SMPL22)


def device_poses(motion: Motion) -> list[Any]:
    """(F, 3, 7) x y z and w x y z of the devices as WebXR states them."""
    track = devices_of(motion)
    quaternions, positions = CONVENTIONS["openxr"].revert(track.rotations.numpy(), track.positions.numpy())
    assert torch.allclose(
        rot.quaternion_to_matrix(torch.from_numpy(quaternions)).det(), torch.ones(1).double()
    )
    return np.round(np.concatenate([positions, quaternions], -1), 5).tolist()


class Headset:
    """A browser with an emulated headset, on the page at `url`.

    Args:
        url: of the page.
        motion: what the wearer does after the T-pose, again and again.
    """

    def __init__(self, url: str, motion: Motion) -> None:
        self.browser = Browser()
        try:
            self._open(url, motion)
        except BaseException:
            self.close()
            raise

    def _open(self, url: str, motion: Motion) -> None:
        self.browser.call("/window/rect", {"width": 480, "height": 400})  # drawn without a graphics card
        poses = {"t_pose": device_poses(t_pose()), "clip": device_poses(motion.resample(RATE))}
        script = _SCRIPT.replace("RATE", str(RATE)).replace("POSES", json.dumps(poses))
        source = IWER.read_text(encoding="utf-8") + script
        command = {"cmd": "Page.addScriptToEvaluateOnNewDocument", "params": {"source": source}}
        self.browser.call("/goog/cdp/execute", command)
        self.browser.call("/url", {"url": url})
        self.wait("return window.live && live.connections > 0")

    def run(self, script: str) -> Any:
        return self.browser.call("/execute/sync", {"script": script, "args": []})

    def wait(self, script: str, seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < end, f"{script}: {self.run('return document.body.innerText')}"
            time.sleep(0.1)

    def enter(self) -> None:
        """Put the headset on."""
        self.run("document.getElementById('enter').click()")
        self.wait("return live.sent > 40")

    def calibrate(self) -> None:
        """Stand in the T-pose until it is known, then move."""
        self.run("headset.part = 't_pose'; document.getElementById('calibrate').click()")
        self.wait("return document.getElementById('count').textContent > 0")
        self.wait("return live.status === 'calibrated'")
        self.run("headset.part = 'clip'; headset.begin = performance.now()")

    def close(self) -> None:
        self.browser.close()
