"""What a browser shows, as an image or a video."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from contrapposto.viewer.page import Viewer

_PATIENCE = 60.0  # seconds to wait for an image
_LARGEST = (1080, 1920)
_LONGEST = 120.0  # seconds of a video


def image_size(client: Any) -> tuple[int, int]:
    """Height and width of a browser's view, even, at most full HD."""
    height, width = client.camera.image_height or 720, client.camera.image_width or 1280
    scale = min(1.0, _LARGEST[0] / height, _LARGEST[1] / width)
    return max(2, int(height * scale) // 2 * 2), max(2, int(width * scale) // 2 * 2)


def screenshot(client: Any) -> np.ndarray:
    """What a browser shows, (H, W, 3) uint8, without the panel."""
    height, width = image_size(client)
    return np.asarray(client.get_render(height, width, transport_format="jpeg", timeout=_PATIENCE))[..., :3]


def record(
    viewer: Viewer,
    client: Any,
    path: Path,
    *,
    fps: float = 30.0,
    progress: Callable[[float], None] | None = None,
) -> Path:
    """Write the whole timeline as a browser shows it, as an mp4.

    Args:
        viewer: its timeline is played.
        client: the browser.
        path: ends in .mp4.
        fps: frames per second.
        progress: called with the finished share.
    """
    from contrapposto.render.video import VideoWriter

    height, width = image_size(client)
    count = max(1, int(min(viewer.duration, _LONGEST) * fps) + 1)
    with VideoWriter(path, fps, (width, height)) as writer:
        for number in range(count):
            viewer.seek(number / fps)
            client.flush()
            image = client.get_render(height, width, transport_format="jpeg", timeout=_PATIENCE)
            writer.write(np.ascontiguousarray(np.asarray(image)[:height, :width, :3]))
            if progress is not None:
                progress((number + 1) / count)
    return path


def add_export(gui: Any, viewer: Viewer) -> None:
    """Two buttons; the browser saves their results."""
    image, video = gui.add_button("Screenshot (png)"), gui.add_button("Video (mp4)")
    bar = gui.add_progress_bar(0.0, visible=False)

    @image.on_click
    def _(event: Any) -> None:
        from PIL import Image

        buffer = io.BytesIO()
        Image.fromarray(screenshot(event.client)).save(buffer, "PNG")
        event.client.send_file_download(f"{viewer.title}.png", buffer.getvalue(), save_immediately=True)

    @video.on_click
    def _(event: Any) -> None:
        video.disabled = bar.visible = True
        try:
            with viewer.held(), tempfile.TemporaryDirectory() as folder:

                def show(share: float) -> None:
                    bar.value = 100 * share

                path = record(viewer, event.client, Path(folder) / "video.mp4", progress=show)
                event.client.send_file_download(
                    f"{viewer.title}.mp4", path.read_bytes(), save_immediately=True
                )
        finally:
            video.disabled = bar.visible = False
