"""What every page of the viewer has: a server for this machine only, a ground, skinned figures."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import torch

from contrapposto.body import BodyModel
from contrapposto.errors import MissingError
from contrapposto.io.glb import top_four

HOST = "127.0.0.1"
COLORS = ((112, 158, 204), (226, 138, 96), (128, 178, 132), (178, 146, 196), (220, 182, 96), (124, 178, 184))


def open_server(port: int) -> Any:
    """A viser server at this port of this machine; at the next free one if it is taken.

    Raises:
        MissingError: viser is not installed.
    """
    try:
        import viser
    except ImportError as error:
        raise MissingError("The viewer needs viser.", fix="pip install 'contrapposto[viewer]'") from error

    with redirect_stdout(io.StringIO()):  # its banner; the door prints the address
        server = viser.ViserServer(host=HOST, port=port, verbose=False)
    # viser opens a tunnel to a public server when a page asks for it; no page may, whoever wrote it.
    server.request_share_url = lambda verbose=True: None  # type: ignore[method-assign]
    return server


def add_world(scene: Any) -> Any:
    """z up, light, a ground with half-metre squares; returns the frame `/world` in which everything stands."""
    scene.set_up_direction("+z")
    world = scene.add_frame("/world", show_axes=False)
    scene.add_grid(
        "/world/ground",
        200.0,
        200.0,
        cell_size=0.5,
        section_size=1.0,
        cell_color=(214, 217, 222),
        section_color=(176, 182, 190),
        fade_distance=18.0,
        shadow_opacity=0.25,
        plane_color=(238, 240, 243),
        plane_opacity=1.0,
    )
    scene.configure_default_lights(cast_shadow=True)
    return world


def add_figure(scene: Any, name: str, body: BodyModel, betas: np.ndarray, color: tuple[int, int, int]) -> Any:
    """The skinned mesh of a body in its rest pose; its `bones` are moved by their `wxyz` and `position`."""
    weights = np.zeros(body.skinning.weights.shape, np.float32)
    joints, values = top_four(body.skinning.weights.numpy())
    np.add.at(weights, (np.arange(len(weights))[:, None], joints), values)
    shape = torch.from_numpy(np.asarray(betas, np.float32))
    rest = body.rest_joints(shape)[0].numpy()
    return scene.add_mesh_skinned(
        name,
        body.rest_vertices(shape)[0].numpy(),
        body.faces.numpy(),
        bone_wxyzs=np.tile([1.0, 0, 0, 0], (len(rest), 1)),
        bone_positions=rest,
        skin_weights=weights,
        color=color,
    )
