"""Motion of animated glTF and VRM files: the joints of a skin over a clip, on the file's own skeleton."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.checks import naming, note, parsing
from contrapposto.errors import InputError, nearest
from contrapposto.mesh.figure import read_figure, rotation_of
from contrapposto.mesh.rig import Rig
from contrapposto.motion import Motion

_UPRIGHT = Rotation.from_euler("x", 90, degrees=True)
_RATES = (1.0, 240.0)
MOST_FRAMES = 100_000


def read_glb(path: str | Path, *, clip: str | None = None) -> Motion:
    """Read the animation of a rigged figure into a clip on its own skeleton, z up, in the file's unit (metres).

    The rest pose is that in which the skin was bound. The frame rate is that of the keys.

    Args:
        path: .glb, .gltf or .vrm.
        clip: name of the animation; the first that moves joints where absent.

    Raises:
        InputError: no animation of joints, or no figure whose joints are known by name.
    """
    rig = Rig(path)
    with naming(path), parsing(path, "an animated skeleton"):
        name = _clip(rig, clip)
        figure = read_figure(rig)
        times, fps = _times(rig, name)
        world = rig.over_time(name, times)[list(figure.nodes)]
        turned = rotation_of(world)  # (J, F, 3, 3)
        relative = turned @ figure.rest[:, None].transpose(0, 1, 3, 2)
        local = relative.copy()
        for joint, parent in enumerate(figure.skeleton.parents):
            if parent >= 0:
                local[joint] = relative[parent].transpose(0, 2, 1) @ relative[joint]
        rotations = Rotation.from_matrix(local.reshape(-1, 3, 3)).as_rotvec().reshape(len(local), -1, 3)
        rotations = rotations.transpose(1, 0, 2).copy()
        rotations[:, 0] = (_UPRIGHT * Rotation.from_matrix(local[0])).as_rotvec()
        place = _UPRIGHT.apply(world[0, :, :3, 3])
        metadata = {"clip": name}
        rights = str((rig.file.items("asset") or {}).get("copyright", ""))
        if rights:
            metadata["attribution"] = rights
        skeleton = figure.skeleton
        return Motion(rotations, place - skeleton.rest_positions[0], fps, skeleton, metadata=metadata)


def _clip(rig: Rig, wanted: str | None) -> str:
    moving = [name for name, tracks in rig.tracks.items() if any(t.path == "rotation" for t in tracks)]
    if not moving:
        raise InputError(
            "The file has no animation of joints.",
            found="a mesh sequence (morph targets)" if rig.tracks else "no animation",
            expected="an animated skeleton",
        )
    if wanted is not None and wanted not in moving:
        raise InputError(
            f"There is no clip {wanted!r}.", found=", ".join(moving)[:300], fix=nearest(wanted, moving)
        )
    if wanted is None and len(moving) > 1:
        note(f"of {len(moving)} clips the first, {moving[0]}, is read; clip= names another")
    return wanted or moving[0]


def _times(rig: Rig, name: str) -> tuple[np.ndarray, float]:
    """(F,) times of frames, and their rate: that of the densest track's keys."""
    tracks = [track for track in rig.tracks[name] if len(track.times) > 1]
    start = min((float(track.times[0]) for track in tracks), default=0.0)
    end = max((float(track.times[-1]) for track in tracks), default=start)
    steps = [float(np.median(np.diff(track.times))) for track in tracks]
    step = min((value for value in steps if value > 0), default=1 / 30)
    fps = float(np.clip(1 / step, *_RATES))
    fps = round(fps) if abs(fps - round(fps)) < 0.01 * fps else fps
    count = int(np.floor((end - start) * fps + 1e-3)) + 1
    if count > MOST_FRAMES:
        raise InputError(
            "The animation is too long.", found=f"{count} frames", expected=f"at most {MOST_FRAMES}"
        )
    return start + np.arange(count) / fps, float(fps)
