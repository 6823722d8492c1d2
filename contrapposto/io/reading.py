"""One motion file: its axes, unit, frame rate and joints, as stated by the user, else as found in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.checks import naming, note, parsing, read_text
from contrapposto.errors import ConfigError, InputError
from contrapposto.io import READABLE, unknown_format
from contrapposto.io.amass import read_amass, written_here
from contrapposto.io.pose_units import in_metres
from contrapposto.motion import Motion
from contrapposto.retarget import SourceSkeleton, joint_index, recognise, to_smpl, with_joint_map
from contrapposto.retarget.upright import check_axes, find_up, to_z_up, turned
from contrapposto.skeleton import SKELETONS

_ARRAYS = (".npz", ".pkl")  # of poses of the SMPL family
_HABIT = {
    ".npz": "z",
    ".pkl": "z",
    ".bvh": "y",
    ".amc": "y",
    ".glb": "y",
    ".gltf": "y",
    ".vrm": "y",
    ".vrma": "y",
}
_OPTIONS = {".bvh": {"root_offset"}, ".amc": {"asf"}}
_OPTIONS |= {suffix: {"clip"} for suffix in (".glb", ".gltf", ".vrm", ".vrma")}


class Reading:
    """What is stated about a file; see `contrapposto.io.read_motion` for the options."""

    def __init__(
        self,
        path: Path,
        *,
        up: str | None = None,
        forward: str | None = None,
        scale: float | None = None,
        fps: float | None = None,
        reference_frame: int | None = None,
        joint_map: str | Path | Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        self.path, self.up, self.forward, self.scale, self.fps = path, up, forward, scale, fps
        self.reference_frame, self.joint_map, self.options = reference_frame, joint_map, options

    def motion(self, *, native: bool) -> Motion:
        """The clip; see `contrapposto.io.read_motion`."""
        self._check()
        if self._suffix == ".amc" and self.fps is None:
            note(".amc files state no frame rate: 120 frames/s are taken; fps= states another")
        motion = self._read(self.up or self._habit)
        with naming(self.path):
            source = self._joints(motion, native)
            if self.up is None and source is not None:
                motion = self._upright(motion, source)
            if self.forward is not None:
                up = self.up or str(motion.metadata.get("up", self._habit))
                motion = turned(motion, to_z_up(up, self.forward) * to_z_up(up).inv())
            if self.fps is not None:
                motion = replace(motion, fps=float(self.fps))
            if native:
                return motion
            return to_smpl(motion, source, reference_frame=self.reference_frame)

    @property
    def _suffix(self) -> str:
        return self.path.suffix.lower()

    @property
    def _habit(self) -> str:
        return _HABIT[self._suffix]

    def _check(self) -> None:
        if self._suffix not in READABLE:
            raise unknown_format(self.path, READABLE, "read")
        allowed = _OPTIONS.get(self._suffix, set())
        unknown = sorted(set(self.options) - allowed)
        if unknown:
            raise ConfigError(
                f"{self._suffix} files are not read with {', '.join(unknown)}.",
                expected=", ".join(sorted(allowed)) or "no further options",
            )
        check_axes(self.up, self.forward)
        for name, value in (("scale", self.scale), ("frame rate", self.fps)):
            if value is not None and not (np.isfinite(value) and value > 0):
                raise InputError(f"The {name} {value} cannot be used.", expected="a positive number")

    def _read(self, up: str) -> Motion:
        """The clip with this axis up, turned to z up."""
        if self._suffix == ".bvh":
            from contrapposto.io.bvh import read_bvh

            return read_bvh(self.path, scale=self.scale, up=up, fps=self.fps, **self.options)
        if self._suffix in _ARRAYS:
            motion = self._read_arrays()
            if self.scale is None and not written_here(self.path):
                with naming(self.path):
                    motion = in_metres(motion)
        elif self._suffix == ".amc":
            from contrapposto.io.asf_amc import read_amc

            motion = read_amc(self.path, scale=self.scale, **self.options)
        else:
            from contrapposto.io.glb_motion import read_glb

            motion = read_glb(self.path, **self.options)
        if self.scale is not None and self._suffix != ".amc":
            rest = motion.skeleton.rest_positions[0]
            if self._suffix in _ARRAYS:  # of the path alone: the body has its own size
                motion = replace(motion, root_translation=motion.root_translation * self.scale)
            else:
                skeleton = motion.skeleton.with_offsets(motion.skeleton.offsets * self.scale)
                place = (motion.root_translation + rest) * self.scale - skeleton.rest_positions[0]
                motion = replace(motion, skeleton=skeleton, root_translation=place)
        return turned(motion, to_z_up(up) * to_z_up(self._habit).inv())

    def _read_arrays(self) -> Motion:
        if self._suffix == ".npz":
            return read_amass(self.path, fps=self.fps)
        from contrapposto.io.pose_pickle import read_pose_pickle

        return read_pose_pickle(self.path, fps=self.fps)

    def _joints(self, motion: Motion, native: bool) -> SourceSkeleton | None:
        """Which joint is which; nothing where nobody needs to know and names do not tell."""
        if self.joint_map is not None and self._suffix not in _ARRAYS:  # whose joints are SMPL's
            names = self.joint_map if isinstance(self.joint_map, Mapping) else read_joint_map(self.joint_map)
            return with_joint_map(motion.skeleton, names)
        try:
            return recognise(motion.skeleton)
        except InputError:
            if native:
                return None
            raise

    def _upright(self, motion: Motion, source: SourceSkeleton) -> Motion:
        """The clip with the axis up that it shows, if that is not the habit of its format."""
        if self._suffix == ".npz" and written_here(self.path):
            return motion
        back = to_z_up(self._habit).inv()
        family = motion.skeleton.name in SKELETONS
        index = joint_index(motion.skeleton, source)
        up = find_up(turned(motion, back), index, self._habit, rest=not family)
        if up == self._habit:
            return motion
        note(f"{up} is up in this file, not {self._habit}, as rest pose and clip show; up= states otherwise")
        motion = self._read(up)
        return replace(motion, metadata={**motion.metadata, "up": up})


def read_joint_map(path: str | Path) -> dict[str, str]:
    """A yaml file of joint names: `LeftThigh: left_hip`, one a line.

    Raises:
        InputError: no such file, or something else in it.
    """
    import yaml

    text = read_text(path, "joint map (yaml)")
    with parsing(path, "lines such as LeftThigh: left_hip"):
        content = yaml.safe_load(text)
        if not isinstance(content, dict) or not content:
            raise TypeError("it holds no names")
    return {str(key): str(value) for key, value in content.items()}
