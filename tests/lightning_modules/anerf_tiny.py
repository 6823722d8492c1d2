"""A tiny avatar scene whose pictures fit its poses, and command lines of A-NeRF's models on it."""

from __future__ import annotations

import numpy as np
import torch

from contrapposto import rotations as rot
from contrapposto.systems.anerf.cameras import orbit, project
from contrapposto.systems.anerf.data import Frame, SceneMetadata, write_scene
from contrapposto.systems.anerf.data.poses import pose_arrays
from contrapposto.systems.anerf.kinematics import PARENTS
from tests.systems.anerf.data.made import arrays

SIDE, POSES, CAMERAS = 32, 4, 4
NETWORK = (
    "module.network={depth:6,width:32,coarse_samples:12,fine_samples:6,single_network:true,distance_frequencies:2,"
    "view_frequencies:0,density:softplus,capsule_radius:0.4}"
)
SHARED = (
    "data=anerf_scene",
    "data.name=sticks",
    "data.rays={images_per_step:4,rays_per_step:64}",
    "data.steps_per_epoch=8",
    "data.max_val_images=2",
    "data.max_test_images=2",
    "optimizer.lr=3e-3",
    "module.loss=mse",
    "module.noise=0",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1",
    "callbacks.media=null",
    "logger=csv",
    NETWORK,
)


def write_sticks(folder, *, name="sticks", noise=0.0, seed=0, splits=None):
    """Figures of coloured sticks in four poses before four cameras; with noise in radians the poses are wrong.

    `splits` are the names of those that the scene has; None: all.
    """
    made = arrays(POSES, CAMERAS, focal=60.0)
    first = torch.from_numpy(made["c2ws"][:1])
    made["c2ws"] = orbit(first, CAMERAS)[:, 0].numpy()
    made["bkgds"] = np.full((1, SIDE * SIDE, 3), 255, np.uint8)
    made["bkgd_idxs"] = np.zeros(POSES * CAMERAS, np.int64)
    frames = [_draw(made, image) for image in range(POSES * CAMERAS)]
    truth = made["kp3d"].astype(np.float32)
    turns = noise * np.random.default_rng(seed).standard_normal((POSES, 24, 3))
    wrong = rot.axis_angle_to_matrix(torch.from_numpy(made["bones"])) @ rot.axis_angle_to_matrix(
        torch.from_numpy(turns)
    )
    posed = pose_arrays(rot.matrix_to_axis_angle(wrong).numpy(), made["rest_pose"], truth[:, 0])
    views = np.arange(POSES * CAMERAS).reshape(CAMERAS, POSES)
    whole = {"train": views[:3, :3].ravel(), "novel_view": views[3, :3], "novel_pose": views[:, 3]}
    chosen = {split: images for split, images in whole.items() if splits is None or split in splits}
    metadata = SceneMetadata("anerf_scene", "made for a test", "CC0-1.0", splits=chosen, metres_per_unit=0.6)
    return write_scene(folder / name, frames, {**made, **posed, "gt_kp3d": truth}, (SIDE, SIDE), metadata)


def _draw(made, image):
    pose, camera = made["kp_idxs"][image], made["camera_idxs"][image]
    joints = torch.from_numpy(made["kp3d"][pose])
    line = torch.linspace(0, 1, 24, dtype=torch.float64)[:, None, None]
    points = (1 - line) * joints[list(PARENTS[1:])] + line * joints[1:]
    middle = torch.tensor([SIDE / 2, SIDE / 2])
    pixels = project(
        points.flatten(0, 1), torch.from_numpy(made["c2ws"][camera]), torch.tensor(60.0), middle
    ).numpy()
    colours = np.tile(np.random.default_rng(7).integers(0, 200, (23, 3)), (24, 1))
    picture, mask = np.full((SIDE, SIDE, 3), 255, np.uint8), np.zeros((SIDE, SIDE), bool)
    grid = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1)
    for pixel, colour in zip(pixels, colours):
        disc = np.linalg.norm(grid - pixel, axis=-1) < 1.3
        picture[disc], mask[disc] = colour, True
    return Frame(picture, mask)


def tiny(model, stores, runs, *more):
    """A command line."""
    inputs = [*SHARED, f"paths.stores={stores}", f"paths.runs={runs}", *more]
    return [f"model={model}", *{option.partition("=")[0]: option for option in inputs}.values()]


SPLATS = (
    "module.gaussians={gaussians:600}",
    "data.steps_per_epoch=30",
    "data.max_val_images=2",
    "data.max_test_images=2",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1",
    "callbacks.media=null",
    "logger=csv",
)


def tiny_splats(stores, runs, *more):
    """A command line that trains a splat avatar."""
    inputs = [
        "data=anerf_scene",
        "data.name=sticks",
        *SPLATS,
        f"paths.stores={stores}",
        f"paths.runs={runs}",
        *more,
    ]
    return ["model=anerf_splat", *{option.partition("=")[0]: option for option in inputs}.values()]
