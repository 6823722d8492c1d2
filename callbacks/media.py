"""Videos, images, meshes and histograms that a model offers, on disk and in wandb."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

from callbacks.hooks import EvaluationCallback
from contrapposto.errors import InputError
from contrapposto.files import atomic_path
from contrapposto.motion import Motion
from contrapposto.render import Mesh
from loggers.build import is_trial, log_histogram, wandb_loggers


@dataclass(frozen=True)
class _Item:
    name: str
    kind: str
    value: Any


class MediaCallback(EvaluationCallback):
    """Draw what a module's `media` method returns at the end of validations and tests, on the first process.

    A module may have a method `media(stage, outputs, batch) -> dict` that turns the named outputs of one
    evaluation batch into items by name. What an item is states its type:

    * a mapping of titles to `Motion`: a video with the clips side by side (a single `Motion` likewise);
    * an (H, W, 3) uint8 array: an image;
    * a `contrapposto.render.Mesh`: a mesh in metres, z up;
    * a 1-D array of whole numbers from 0: a histogram of these values.

    Files go to `media/<stage>_step<number>_<name>` as mp4, png, obj (y up, as viewers expect) and csv; wandb
    gets them as `media_<stage>/video_1`, `image_1`, `mesh_1`, ... in the order of the items, and histograms
    as `<stage>/<name>`.

    **Privacy.** Images, and everything else when the datamodule's attribute `from_user_media` is true
    (frames, avatars and poses of people who were filmed or photographed), are only put into wandb, be it
    online or offline, with `logger.media_upload=true`; a datamodule that shows no such people states `from_user_media =
    False`, and its images are logged. Drawn figures from motion capture are not images of people. The
    files on disk are always written.

    Drawing never stops a training: what fails is a warning. It takes at most `time_share` of the training's
    time: validations that would exceed it go without media, except for the first and the last one.

    Args:
        run_dir: the run directory.
        every_n_epochs: validations of other epochs go without media.
        max_clips: number of batches that are asked for media, and of videos drawn.
        seconds: longest video.
        size: width and height of a panel in pixels.
        fps: frames per second of the videos.
        time_share: of the time since the training began.
    """

    def __init__(
        self,
        run_dir: str | Path,
        *,
        every_n_epochs: int = 1,
        max_clips: int = 2,
        seconds: float = 6.0,
        size: tuple[int, int] = (384, 384),
        fps: float = 30.0,
        time_share: float = 0.05,
    ) -> None:
        self.folder = Path(run_dir) / "media"
        self.every_n_epochs, self.max_clips = every_n_epochs, max_clips
        self.seconds, self.size, self.fps = seconds, (int(size[0]), int(size[1])), fps
        self.time_share = time_share
        self._start = self._spent = 0.0
        self._items: list[_Item] = []
        self._asked, self._due = 0, False
        self._media: Any = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._start, self._spent = time.monotonic(), 0.0

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Decide whether this validation gets media."""
        self._begin(trainer, pl_module, not trainer.sanity_checking and self._is_due(trainer))

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A test always gets media."""
        self._begin(trainer, pl_module, True)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw."""
        self._draw_all(trainer, "val")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw."""
        self._draw_all(trainer, "test")

    def _is_due(self, trainer: pl.Trainer) -> bool:
        if trainer.state.fn != "fit" or self._spent == 0 or _is_last(trainer):
            return True
        affordable = self._spent <= self.time_share * (time.monotonic() - self._start)
        return affordable and (trainer.current_epoch + 1) % self.every_n_epochs == 0

    def _begin(self, trainer: pl.Trainer, pl_module: pl.LightningModule, due: bool) -> None:
        self._media = getattr(pl_module, "media", None)
        self._items, self._asked = [], 0
        self._due = due and callable(self._media) and trainer.is_global_zero and not is_trial(trainer)

    def take(self, stage: str, outputs: Any, batch: Any) -> None:
        """Collect the items of a batch, while the weights that are evaluated sit in the model."""
        if not self._due or self._asked >= self.max_clips:
            return
        self._asked += 1
        begin = time.monotonic()
        try:
            for name, value in self._media(stage, outputs, batch).items():
                _add(self._items, _item(str(name), value))
        except Exception as error:
            rank_zero_warn(f"No media of a {stage} batch: {type(error).__name__}: {error}")
        self._spent += time.monotonic() - begin

    def _draw_all(self, trainer: pl.Trainer, stage: str) -> None:
        begin, counts = time.monotonic(), {"video": 0}
        for item in self._items:
            number = counts[item.kind] = counts.get(item.kind, 0) + 1
            if item.kind == "video" and number > self.max_clips:
                continue
            try:
                path = self._draw(item, self.folder / _file_name(stage, trainer.global_step, item))
                _log(trainer, stage, number, item, path)
            except Exception as error:  # of rendering, encoding, a full disk, wandb: training goes on
                rank_zero_warn(f"{item.name} could not be drawn: {type(error).__name__}: {error}")
        if self._items:
            self._spent += time.monotonic() - begin
        self._items = []

    def _draw(self, item: _Item, path: Path) -> Path:
        from contrapposto.render import render_motion_video, write_png

        if item.kind == "video":
            clips = {title: _cut(clip, self.seconds) for title, clip in item.value.items()}
            path.parent.mkdir(parents=True, exist_ok=True)
            return render_motion_video(path, clips, size=self.size, fps=self.fps)
        if item.kind == "image":
            return write_png(path, item.value)
        with atomic_path(path) as temporary:
            temporary.write_text(_obj(item.value) if item.kind == "mesh" else _counts(item.value), "utf-8")
        return path


def _item(name: str, value: Any) -> _Item:
    if isinstance(value, Motion):
        return _Item(name, "video", {"": value})
    if isinstance(value, Mapping) and value and all(isinstance(clip, Motion) for clip in value.values()):
        return _Item(name, "video", value)
    if isinstance(value, Mesh):
        return _Item(name, "mesh", value)
    array = np.asarray(value)
    if array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3:
        return _Item(name, "image", array)
    if array.ndim == 1 and array.size and np.issubdtype(array.dtype, np.integer) and array.min() >= 0:
        return _Item(name, "histogram", array)
    raise InputError(
        f"The media item {name} is of no kind that can be drawn.",
        found=f"{type(value).__name__} {array.dtype} {array.shape}",
        expected="motions by title, an (H, W, 3) uint8 image, a Mesh, or 1-D whole numbers from 0",
    )


def _add(items: list[_Item], item: _Item) -> None:
    """Add an item; another batch may have given its name already: histograms are joined, others get a number."""
    same = next(
        (i for i, other in enumerate(items) if (other.name, other.kind) == (item.name, item.kind)), None
    )
    if same is None:
        items.append(item)
    elif item.kind == "histogram":
        items[same] = _Item(item.name, item.kind, np.concatenate([items[same].value, item.value]))
    else:
        count = sum(other.kind == item.kind for other in items)
        items.append(_Item(f"{item.name}_{count + 1}", item.kind, item.value))


def _is_last(trainer: pl.Trainer) -> bool:
    """Whether training ends with this validation."""
    epochs = trainer.max_epochs
    ends = epochs is not None and 0 < epochs <= trainer.current_epoch + 1 and trainer.is_last_batch
    return ends or trainer.should_stop or 0 < trainer.max_steps <= trainer.global_step


def _is_private(trainer: pl.Trainer, item: _Item) -> bool:
    declared = getattr(getattr(trainer, "datamodule", None), "from_user_media", None)
    return item.kind == "image" if declared is None else bool(declared)


def _file_name(stage: str, step: int, item: _Item) -> str:
    suffix = {"video": "mp4", "image": "png", "mesh": "obj", "histogram": "csv"}[item.kind]
    name = re.sub(r"[^\w.-]+", "_", item.name).strip("._") or item.kind
    return f"{stage}_step{step:08d}_{name[:80]}.{suffix}"


def _cut(clip: Motion, seconds: float) -> Motion:
    return clip.frames(0, max(round(seconds * clip.fps), 1))


def _obj(mesh: Mesh) -> str:
    """Wavefront OBJ, turned from z up to y up."""
    x, y, z = np.asarray(mesh.vertices, np.float64).T
    lines = [f"v {a:.5f} {b:.5f} {c:.5f}" for a, b, c in zip(x, z, -y)]
    lines += [f"f {a} {b} {c}" for a, b, c in np.asarray(mesh.faces) + 1]
    return "\n".join(lines) + "\n"


def _counts(values: np.ndarray) -> str:
    counts = np.bincount(values)
    return "value,count\n" + "".join(f"{value},{count}\n" for value, count in enumerate(counts))


def _log(trainer: pl.Trainer, stage: str, number: int, item: _Item, path: Path) -> None:
    import wandb

    if item.kind == "histogram":  # a statistic, no image of anybody
        log_histogram(trainer, f"{stage}/{item.name}", np.bincount(item.value))
        return
    makers: dict[str, Any] = {
        "image": wandb.Image,
        "mesh": wandb.Object3D,
        "video": partial(wandb.Video, format="mp4"),
    }
    private = _is_private(trainer, item)
    for logger in wandb_loggers(trainer):
        if not private or getattr(logger, "media_upload", False):
            medium = makers[item.kind](str(path), caption=item.name)
            logger.log_metrics({f"media_{stage}/{item.kind}_{number}": medium}, step=trainer.global_step)
