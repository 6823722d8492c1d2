"""Inputs to click on the page, made of what ships: no file of anybody else is in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contrapposto.body import load_body
from contrapposto.body.clothing import clothe
from contrapposto.body.proportions import proportioned
from contrapposto.files import ASSETS
from contrapposto.io import write_motion
from contrapposto.io.device_csv import write_csv
from contrapposto.io.devices import devices_of
from contrapposto.mesh import MeshAsset, write_mesh, write_mesh_glb
from contrapposto.shipped import shipped_clips
from contrapposto.synthetic import generate, generate_sequence

_SIZES = {
    "figurine": {"head": 1.9, "hands": 1.5, "feet": 1.4, "legs": 0.65, "arms": 0.8, "girth": 1.35},
    "giant": {"legs": 1.2, "arms": 1.15, "girth": 1.5, "hands": 1.3},
}


@dataclass(frozen=True)
class Examples:
    """Files by kind.

    Attributes:
        recordings: of three trackers.
        motions: of a figure.
        meshes: without joints.
        videos: of people.
        images: of characters.
    """

    recordings: list[str]
    motions: list[str]
    meshes: list[str]
    videos: list[str]
    images: list[str]


def make_examples(folder: Path, seconds: float = 4.0) -> Examples:
    """Write the examples into a folder; `seconds` is the length of the motions."""
    folder.mkdir(parents=True, exist_ok=True)
    clip = shipped_clips()[0].trim(1.0, 1.0 + seconds).canonical()
    half = seconds / 2
    gestures = generate_sequence([("march", half), ("wave both hands", half)], seed=2, fps=60)
    motions = {
        "cmu_jump": clip,
        "walk": generate("walk", style="happy", seconds=seconds, seed=4, fps=30),
        "jumping_jack": generate("jumping jack", seconds=seconds, seed=1, fps=30),
    }
    recordings = {"cmu_jump": clip, "march_and_wave": gestures}
    return Examples(
        [
            str(write_csv(folder / f"{name}_trackers.csv", devices_of(one)))
            for name, one in recordings.items()
        ],
        [str(write_motion(folder / f"{name}.npz", one)) for name, one in motions.items()],
        [str(path) for path in _meshes(folder)],
        [str(ASSETS / "studio" / "jumping_jack.mp4")],
        [str(ASSETS / "studio" / "child.png")],
    )


def _meshes(folder: Path) -> list[Path]:
    """Two bodies of other proportions: a coloured GLB, and an OBJ with nothing but the surface."""
    body = load_body("smpl")
    colors = np.full((len(body.v_template), 4), 255, np.uint8)
    colors[:, :3] = np.round(255 * clothe(body))
    meshes = {}
    for name, sizes in _SIZES.items():
        vertices = proportioned(body, sizes).rest_vertices()[0].double().numpy()
        vertices = vertices - [0.0, vertices[:, 1].min(), 0.0]
        meshes[name] = MeshAsset(vertices, body.faces.numpy(), vertex_colors=colors, name=name)
    return [
        write_mesh_glb(folder / "figurine.glb", meshes["figurine"]),
        write_mesh(folder / "giant.obj", meshes["giant"]),
    ]
