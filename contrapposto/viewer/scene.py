"""Common parts of the viewer's pages: a local server, a ground, skinned bodies, a camera that stays above the floor."""

from __future__ import annotations

import atexit
import html
import io
import shutil
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contrapposto.body import BodyModel
from contrapposto.errors import MissingError
from contrapposto.mesh.gltf_document import top_four

HOST = "127.0.0.1"
COLORS = ((112, 158, 204), (226, 138, 96), (128, 178, 132), (178, 146, 196), (220, 182, 96), (124, 178, 184))
LOWEST_CAMERA = 0.15  # metres above the floor
_FARTHEST = 60.0  # metres from the origin


def open_server(port: int, title: str = "Contrapposto") -> Any:
    """A viser server at this port of this machine; at the next free one if it is taken.

    Args:
        port: where the page is served.
        title: of the browser's tab.

    Raises:
        MissingError: viser is not installed.
    """
    try:
        import viser
        from viser import infra
    except ImportError as error:
        raise MissingError("The viewer needs viser.", fix="pip install viser (the extra `viewer`)") from error

    original = infra.WebsockServer

    def titled(*args: Any, **options: Any) -> Any:
        """viser has no setting for the title of its page."""
        if options.get("http_server_root"):
            options["http_server_root"] = _titled(options["http_server_root"], title)
        return original(*args, **options)

    try:
        infra.WebsockServer = titled  # type: ignore[misc, assignment]
        with redirect_stdout(io.StringIO()):  # its banner; the command prints the address
            server = viser.ViserServer(host=HOST, port=port, verbose=False)
    finally:
        infra.WebsockServer = original  # type: ignore[misc]
    # viser opens a tunnel to a public server when a page asks for it; no page may, whoever wrote it.
    server.request_share_url = lambda verbose=True: None  # type: ignore[method-assign]
    return server


def _titled(root: Path, title: str) -> Path:
    """A copy of viser's page with another title, in a temporary folder that ends with the process."""
    page = root / "index.html"
    if not page.is_file():
        return root
    folder = Path(tempfile.mkdtemp(prefix="contrapposto-view-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    shutil.copytree(root, folder, dirs_exist_ok=True)
    text = page.read_text(encoding="utf-8")
    (folder / "index.html").write_text(
        text.replace("<title>Viser</title>", f"<title>{html.escape(title)}</title>", 1), encoding="utf-8"
    )
    return folder


def keep_above_floor(client: Any) -> None:
    """Hold a browser's camera, and what it looks at, above the floor and within reach."""

    @client.camera.on_update
    def _(camera: Any) -> None:
        place, target = above_floor(camera.position, camera.look_at)
        if not np.allclose(place, camera.position, atol=1e-3):
            camera.position = place
        if not np.allclose(target, camera.look_at, atol=1e-3):
            camera.look_at = target


def above_floor(position: np.ndarray, look_at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Camera position (3,) at least `LOWEST_CAMERA` above z = 0, and its target (3,) not below the floor, metres."""
    place, target = np.array(position, float), np.array(look_at, float)
    far = np.linalg.norm(place)
    if far > _FARTHEST:
        place *= _FARTHEST / far
    place[2] = max(place[2], LOWEST_CAMERA)
    target[2] = max(target[2], 0.0)
    return place, target


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
