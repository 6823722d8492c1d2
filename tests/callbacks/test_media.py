"""MediaCallback: real files, limits, failures that do not stop training, privacy."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import av
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import trimesh

from callbacks import BestCheckpoint, MediaCallback
from callbacks.media import _is_private, _Item
from contrapposto.motion import Motion
from contrapposto.render import Mesh
from tests.callbacks.tiny import Data, Tiny, trainer


def clip(seconds: float = 3.0, fps: float = 20.0) -> Motion:
    frames = round(seconds * fps)
    rotations = np.zeros((frames, 52, 3), np.float32)
    rotations[:, 0, 0] = np.pi / 2
    rotations[:, 16, 2] = np.linspace(0, 1, frames)
    return Motion(rotations, np.zeros((frames, 3), np.float32), fps)


TETRAHEDRON = Mesh(
    np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]], np.float32),
    np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
)
GRADIENT = np.tile(np.linspace(0, 255, 8).astype(np.uint8)[None, :, None], (6, 1, 3))


class Shows(Tiny):
    def media(self, stage, outputs, batch):
        name = f"walk / {outputs['clips'][0]} [x=1]"
        return {
            name: {"truth": clip(), "reconstruction": clip()},
            "frame": GRADIENT,
            "avatar": TETRAHEDRON,
            "codes": torch.tensor([0, 2, 2, 3]).numpy(),
        }


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "media").glob("*"))


def test_every_kind_is_written(tmp_path):
    callback = MediaCallback(tmp_path, max_clips=1, seconds=0.5, size=(96, 64), fps=10)
    trainer([callback]).test(Shows(), datamodule=Data(), verbose=False)
    video = "test_step00000000_walk_clip_00_x_1.mp4"
    assert files(tmp_path) == [
        "test_step00000000_avatar.obj",
        "test_step00000000_codes.csv",
        "test_step00000000_frame.png",
        video,
    ]
    with av.open(tmp_path / "media" / video) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert frames[0].shape == (64, 192, 3) and len(frames) == 5  # 0.45 s of a clip of 3 s, two panels
    assert float(np.std(frames[0])) > 5
    mesh = trimesh.load(tmp_path / "media/test_step00000000_avatar.obj", process=False)
    assert mesh.volume == pytest.approx(1.0) and mesh.bounds[1].tolist() == [1, 3, 0]  # z has become y
    with open(tmp_path / "media/test_step00000000_codes.csv", newline="") as file:
        assert [row["count"] for row in csv.DictReader(file)] == ["1", "0", "2", "1"]


def test_limits_of_number_and_time(tmp_path):
    class Slow(Tiny):
        def media(self, stage, outputs, batch):
            time.sleep(0.05)
            return {f"image {outputs['clips'][0]}": GRADIENT}

    callback = MediaCallback(tmp_path, max_clips=2, time_share=0.01)
    trainer([callback], max_epochs=4).fit(Slow(), datamodule=Data(clips=7))
    steps = sorted({name.split("_")[1] for name in files(tmp_path)})
    assert steps == ["step00000006", "step00000024"]  # the first and the last validation
    assert len(files(tmp_path)) == 4  # of four batches each


def test_nothing_in_the_sanity_check_and_in_trials(tmp_path):
    callback = MediaCallback(tmp_path)
    trainer([callback], fast_dev_run=True).fit(Shows(), datamodule=Data())
    assert not (tmp_path / "media").exists()


def test_failures_do_not_stop_training(tmp_path):
    class Fails(Tiny):
        def media(self, stage, outputs, batch):
            if batch["x"][0, 0] == 0:
                return {"odd": object(), "never": GRADIENT}
            return {"bad": GRADIENT[:, :0], "good": GRADIENT}

    fit = trainer([MediaCallback(tmp_path), BestCheckpoint(tmp_path / "checkpoints")], max_epochs=1)
    with pytest.warns(UserWarning) as caught:
        fit.fit(Fails(), datamodule=Data())
    texts = " ".join(str(item.message) for item in caught)
    assert "odd" in texts and "bad could not be drawn" in texts
    assert files(tmp_path) == ["val_step00000006_good.png"]
    assert fit.global_step == 6 and (tmp_path / "checkpoints/best.ckpt").exists()


def test_a_module_without_media(tmp_path):
    trainer([MediaCallback(tmp_path)]).test(Tiny(), datamodule=Data(), verbose=False)
    assert not (tmp_path / "media").exists()


@pytest.mark.parametrize(
    ("declared", "kind", "private"),
    [
        (None, "image", True),
        (None, "video", False),
        (True, "video", True),
        (True, "mesh", True),
        (False, "image", False),
    ],
)
def test_what_is_private(declared, kind, private):
    fit = pl.Trainer(logger=False, accelerator="cpu", enable_progress_bar=False)
    data = Data()
    if declared is not None:
        data.from_user_media = declared
    fit._data_connector.attach_datamodule(Tiny(), data)
    assert _is_private(fit, _Item("x", kind, None)) is private
