"""The page of live tracking: the body, the three trackers, measurements."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from contrapposto import rotations as rot
from contrapposto.body import load_body
from contrapposto.skeleton import forward_kinematics
from contrapposto.systems.sage.live.calibration import fitted_betas
from contrapposto.viewer.scene import COLORS, HOST, add_figure, add_world, keep_above_floor, open_server

if TYPE_CHECKING:
    from contrapposto.systems.sage.live.tracker import LiveFrame

_SEEN, _LOST = (230, 120, 60), (150, 150, 150)
_NAMES = ("head", "left hand", "right hand")


class LivePage:
    """One body that follows the tracker.

    Args:
        port: where the page is served; the next free one if it is taken.
        scale: size of the body relative to the default one.
    """

    def __init__(self, port: int = 8080, scale: float = 1.0) -> None:
        self.body = load_body()
        self.t_pose_wanted = threading.Event()
        """Set when the wearer asks for a calibration."""
        self._server = open_server(port, "Live - Contrapposto")
        self._world = add_world(self._server.scene)
        self._trackers = [self._add_tracker(name) for name in _NAMES]
        self._add_controls()
        self._figure: Any = None
        self.set_scale(scale)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self._server.get_port()}"

    def set_scale(self, scale: float) -> None:
        """Change the size of the body."""
        betas = np.zeros(0, np.float32) if scale == 1.0 else fitted_betas(scale)
        rest = self.body.rest_joints(torch.from_numpy(betas))[0]
        parents = self.body.skeleton.parents
        above = torch.stack([rest[max(parent, 0)] for parent in parents])
        self._offsets = torch.cat([rest[:1], (rest - above)[1:]])
        if self._figure is not None:
            self._figure.remove()
        self._figure = add_figure(self._server.scene, "/world/figure", self.body, betas, COLORS[0])
        self._figure.visible = False

    def show(self, frame: LiveFrame, stamp: float = 0.0) -> None:
        """Send a body and its trackers to the browser; `stamp` is not shown."""
        local = torch.eye(3).repeat(self.body.skeleton.num_joints, 1, 1)
        local[:22] = frame.body.rotations[0].float().cpu()
        parents, translation = self.body.skeleton.parents, frame.body.root_translation[0].float().cpu()
        turns, places = forward_kinematics(parents, local, self._offsets, translation)
        quaternions, positions = rot.matrix_to_quaternion(turns).numpy(), places.numpy()
        trackers = rot.matrix_to_quaternion(torch.from_numpy(frame.turns)).numpy()
        with self._server.atomic():
            following = self._follow.value
            self._world.position = (*(-positions[0, :2] if following else (0.0, 0.0)), 0.0)
            self._figure.visible = True
            for bone, quaternion, place in zip(self._figure.bones, quaternions, positions):
                bone.wxyz, bone.position = quaternion, place
            for device, (axes, ball) in enumerate(self._trackers):
                axes.visible = self._trackers_shown.value
                axes.position, axes.wxyz = frame.devices[device], trackers[device]
                color = _SEEN if frame.seen[device] else _LOST
                if tuple(ball.color) != color:
                    ball.color = color

    def tell(self, text: str) -> None:
        """Show Markdown in the page's panel."""
        if self._info.content != text:
            self._info.content = text

    def stop(self) -> None:
        """Close the page's server."""
        self._server.stop()

    def _add_tracker(self, name: str) -> tuple[Any, Any]:
        scene, path = self._server.scene, f"/world/trackers/{name.replace(' ', '_')}"
        axes = scene.add_frame(path, axes_length=0.16, axes_radius=0.006, visible=False)
        return axes, scene.add_icosphere(f"{path}/ball", radius=0.035, color=_SEEN, opacity=0.75)

    def _add_controls(self) -> None:
        gui = self._server.gui
        gui.configure_theme(show_logo=False, show_share_button=False)
        gui.main_panel.dock_right()
        gui.set_panel_label("Contrapposto live")
        self._info = gui.add_markdown("")
        self._follow = gui.add_checkbox("Follow", True)
        self._trackers_shown = gui.add_checkbox("Trackers", True)
        button = gui.add_button("Calibrate: T-pose in 3 s")

        @button.on_click
        def _(_: Any) -> None:
            self.t_pose_wanted.set()

        @self._server.on_client_connect
        def _(client: Any) -> None:
            client.camera.up_direction = (0.0, 0.0, 1.0)
            client.camera.fov = np.radians(40)
            client.camera.position = (1.2, -4.0, 1.7)
            client.camera.look_at = (0.0, 0.0, 0.9)
            keep_above_floor(client)
