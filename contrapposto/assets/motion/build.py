"""Build the two shipped CMU clips from their BVH files.

The BVH files are part of Debian's package `assimp-testmodels` (usr/share/assimp/models/BVH/01_01.bvh and 01_03.bvh):

    apt-get download assimp-testmodels && dpkg -x assimp-testmodels_*.deb unpacked
    python contrapposto/assets/motion/build.py unpacked/usr/share/assimp/models/BVH

Each is mapped to SMPL-H, its first frame (a T-pose that the BVH conversion added) is cut, and every second frame is
kept: 120 to 60 frames/s.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from contrapposto.errors import InputError
from contrapposto.files import sha256
from contrapposto.io.amass import write_amass
from contrapposto.io.bvh import read_bvh
from contrapposto.motion import Label, Motion
from contrapposto.retarget import to_smpl

CLIPS = {
    "01_01": (
        "1d9ee909452ee62784306545cf1fcd634243db1173e0c90cecbed793e50361a8",
        "playground - forward jumps, turn around",
    ),
    "01_03": (
        "72d3f37de5af9adfc228dda72422cadb8cfc58d1cd8336076241ba115715c87c",
        "playground - climb, hang, swing",
    ),
}
ATTRIBUTION = (
    "The data used in this project was obtained from mocap.cs.cmu.edu. "
    "The database was created with funding from NSF EIA-0196217."
)
LICENCE = "CMU mocap: free for all uses, also commercial; may be included in products, not resold by itself"


def build(source: Path, target: Path) -> list[Path]:
    """Convert the clips in the folder `source` into npz files in `target` and return their paths.

    Raises:
        InputError: a file is missing or is not the one expected.
    """
    return [write_amass(target / f"cmu_{name}.npz", _clip(source / f"{name}.bvh", name)) for name in CLIPS]


def _clip(path: Path, name: str) -> Motion:
    expected, text = CLIPS[name]
    actual = sha256(path) if path.is_file() else "no such file"
    if actual != expected:
        raise InputError(
            f"{path} is not the clip that ships.",
            found=actual,
            expected=f"sha256 {expected}",
            fix="unpack Debian's assimp-testmodels and give its folder usr/share/assimp/models/BVH",
        )
    native = read_bvh(path)
    recorded = native.frames(1, native.num_frames)  # without the T-pose before it
    clip = to_smpl(recorded)
    # Rounding to 2e-6 rad and m costs nothing that motion capture could see and halves the file.
    rotations, translation = (
        np.round(values[::2] * 2**19) / 2**19 for values in (clip.rotations, clip.root_translation)
    )
    metadata = {
        "name": f"cmu/{name}",
        "source": "CMU Graphics Lab Motion Capture Database, subject 1, BVH in Debian's assimp-testmodels",
        "licence": LICENCE,
        "attribution": ATTRIBUTION,
        "changes": "mapped to SMPL-H (no finger motion was recorded), 120 to 60 frames/s",
    }
    labels = (Label(text, 0.0, len(rotations) / 60.0),)
    return replace(
        clip, rotations=rotations, root_translation=translation, fps=60.0, labels=labels, metadata=metadata
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="folder with 01_01.bvh and 01_03.bvh")
    parser.add_argument("--target", type=Path, default=Path(__file__).parent, help="folder to write to")
    arguments = parser.parse_args()
    for path in build(arguments.source, arguments.target):
        print(f"{path}  {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
