"""BVH files (Biovision hierarchy): read into a clip on the file's own skeleton, written from any clip.

A BVH file is y up with degrees and an unknown unit of length; angles of a joint are applied in the order in which its
channels stand (intrinsic). Source: M. Meredith and S. Maddock, Motion Capture File Formats Explained, 2001, section 4.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.checks import naming, read_text
from contrapposto.errors import InputError
from contrapposto.files import atomic_path
from contrapposto.io.bvh_text import Joint, Tree, parse_bvh
from contrapposto.motion import Motion
from contrapposto.progress import late
from contrapposto.retarget.names import written_name
from contrapposto.retarget.upright import to_z_up
from contrapposto.skeleton import Skeleton

UNITS = {"metre": 1.0, "centimetre": 0.01, "millimetre": 0.001, "inch": 0.0254, "CMU unit": 0.0254 / 0.45}
"""Metres per unit of length that the automatic guess chooses from."""

UPRIGHT = Rotation.from_euler("x", 90, degrees=True)
"""From y up (files, rest poses) to z up (clips)."""

_WRITTEN_ORDER = "ZXY"


def read_bvh(
    path: str | Path,
    *,
    scale: float | None = None,
    up: str = "y",
    fps: float | None = None,
    root_offset: str = "auto",
) -> Motion:
    """Read a BVH file into a clip on its own skeleton, in the canonical frame (z up, metres).

    The rest pose is the file's (all angles zero), along the axes of the file. End sites become joints named
    `<joint>_end` without rotation. A root that only places its one child (Bandai-Namco) is merged with it. Bones that
    change their length get their median offset; how much is lost stands in the metadata.

    Args:
        path: the file.
        scale: metres per unit of length. By default the unit of `UNITS` is taken for which the longest way through
            the skeleton (for a man, from a hand to the other foot) comes nearest to 2.1 m; the unit stands in the
            metadata under `unit`.
        up: the file's vertical axis: `y` as nearly always, `z` (Blender), `x`, or one of them with a minus sign.
        fps: the frame rate, where the file states a wrong one.
        root_offset: whether the root's position channels `replace` its OFFSET or are to `add` to it: both are found.
            `auto` takes the reading that puts the feet nearer to the ground.

    Raises:
        InputError: not a BVH file, a damaged one, or numbers that cannot be (NaN, no frames, frame time not positive).
    """
    if root_offset not in ("auto", "add", "replace"):
        raise InputError(f"root_offset is {root_offset!r}.", expected="auto, add or replace")
    turn = to_z_up(up)
    if scale is not None and not (np.isfinite(scale) and scale > 0):
        raise InputError(f"scale is {scale}.", expected="a positive number of metres per unit")
    text = read_text(path, "BVH")
    with naming(path):
        tree, values, fps = parse_bvh(text, fps)
        return _Poser(tree, values, turn).motion(Path(path).stem, fps, scale, root_offset)


class _Poser:
    """Turns channel values into local rotations and offsets; all in the file's frame and unit."""

    def __init__(self, tree: Tree, values: np.ndarray, turn: Rotation) -> None:
        self.turn = turn  # to z up
        self.up = turn.inv().apply([0.0, 0.0, 1.0])
        self.joints = list(tree.joints)
        self.frames = len(values)
        self.rotations: list[Rotation | None] = []
        step = late("reading motion, joints")
        for joint in self.joints:
            self.rotations.append(_rotation(joint, values))
            step(len(self.rotations), len(self.joints))
        self.positions = [_position(joint, values) for joint in self.joints]
        self.stretch = 0.0

    def motion(self, name: str, fps: float, scale: float | None, root_offset: str) -> Motion:
        """The clip; see `read_bvh`."""
        self._merge_root()
        root = self.positions[0]
        position = np.tile(self.joints[0].offset, (self.frames, 1)) if root is None else root
        offsets = np.stack([self._offset(index) for index in range(len(self.joints))])
        parents = tuple(joint.parent for joint in self.joints)
        skeleton = Skeleton(name, _unique([joint.name for joint in self.joints]), parents, offsets)
        unit = _unit(skeleton, scale)
        metadata = {"unit": f"{unit:.6g} m"}
        if root is not None and self._adds(skeleton, position, root_offset):
            position = position + self.joints[0].offset
            metadata["root_offset"] = "added"
        if self.stretch * unit > 1e-3:
            metadata["stretch"] = (
                f"bones change their length by up to {self.stretch * unit:.3f} m; medians were taken"
            )
        scaled = skeleton.with_offsets(skeleton.offsets * unit)
        rotations = self._axis_angles()
        return Motion(
            rotations=rotations,
            root_translation=self.turn.apply(position * unit) - scaled.rest_positions[0],
            fps=fps,
            skeleton=scaled,
            metadata=metadata,
        )

    def _axis_angles(self) -> np.ndarray:
        result = np.zeros((self.frames, len(self.joints), 3), np.float32)
        for index, rotation in enumerate(self.rotations):
            if index == 0:
                rotation = self.turn * (Rotation.identity(self.frames) if rotation is None else rotation)
            if rotation is not None:
                result[:, index] = rotation.as_rotvec()
        return result

    def _merge_root(self) -> None:
        """Drop a root whose only child moves about: the child's place in the world becomes its own."""
        children = [index for index, joint in enumerate(self.joints) if joint.parent == 0]
        if len(children) != 1 or self.positions[1] is None or np.ptp(self.positions[1], axis=0).max() < 1e-3:
            return
        above, child = self.rotations[0], self.positions[1]
        start = self.joints[0].offset if self.positions[0] is None else self.positions[0]
        if above is not None:
            child = above.apply(child)
            self.rotations[1] = above if self.rotations[1] is None else above * self.rotations[1]
        self.positions[1] = child + start
        for kept in (self.joints, self.rotations, self.positions):
            del kept[0]
        self.joints = [Joint(j.name, j.parent - 1, j.offset, (), 0) for j in self.joints]

    def _offset(self, index: int) -> np.ndarray:
        """Constant offset of a joint; its position channels, if any, replace it, or add to it if they hover at 0."""
        offset, moving = self.joints[index].offset, self.positions[index]
        if moving is None or index == 0:
            return offset
        middle = np.median(moving, axis=0)
        if np.linalg.norm(middle) < np.linalg.norm(middle - offset):
            moving, middle = moving + offset, middle + offset
        self.stretch = max(self.stretch, float(np.linalg.norm(moving - middle, axis=1).max()))
        return middle

    def _adds(self, skeleton: Skeleton, position: np.ndarray, root_offset: str) -> bool:
        height = float(self.joints[0].offset @ self.up)
        if root_offset != "auto" or height == 0:
            return root_offset == "add"
        some = np.unique(np.linspace(0, self.frames - 1, 200).astype(int))
        lowest = np.median(self._lowest(skeleton, some) + position[some] @ self.up)
        return bool(abs(lowest + height) < abs(lowest))

    def _lowest(self, skeleton: Skeleton, some: np.ndarray) -> np.ndarray:
        """(N,) height of the lowest joint above the root in the given frames."""
        turned: list[Rotation] = []
        places: list[np.ndarray] = []
        for index, joint in enumerate(self.joints):
            own = self.rotations[index]
            local = Rotation.identity(len(some)) if own is None else own[some]
            if joint.parent < 0:
                turned.append(local)
                places.append(np.zeros((len(some), 3)))
            else:
                places.append(places[joint.parent] + turned[joint.parent].apply(skeleton.offsets[index]))
                turned.append(turned[joint.parent] * local)
        return np.min([place @ self.up for place in places], axis=0)


def write_bvh(path: str | Path, motion: Motion, *, scale: float = 0.01, names: str = "smplh") -> Path:
    """Write a clip as BVH, atomically: y up, centimetres unless `scale` (metres per unit) states otherwise.

    Channels are `Xposition Yposition Zposition` at the root (absolute: its OFFSET is zero, because some
    programs add it and others do not) and `Zrotation Xrotation
    Yrotation` at every joint, continuous over time. Offsets are those of the clip's skeleton. Leaves named
    `<joint>_end` are written as end sites; other leaves get an end site half their own bone further on.

    Args:
        path: the file.
        motion: the clip.
        scale: metres per unit.
        names: of the joints of an SMPL figure: `smplh` (ours), `smpl` (L_Hip), `mixamo` or `vrm`.

    Raises:
        InputError: the file cannot be written, or `scale` is not positive.
        ConfigError: no such names.
    """
    if not (np.isfinite(scale) and scale > 0):
        raise InputError(f"scale is {scale}.", expected="a positive number of metres per unit")
    path = Path(path)
    skeleton = motion.skeleton
    if names != "smplh":
        written = tuple(written_name(joint, names) for joint in skeleton.joint_names)
        skeleton = replace(skeleton, joint_names=written)
    order, lines = _hierarchy(skeleton, scale)
    columns = [UPRIGHT.inv().apply(motion.root_translation + motion.skeleton.rest_positions[0]) / scale]
    for joint in order:
        rotation = Rotation.from_rotvec(motion.rotations[:, joint].astype(np.float64))
        columns.append(_angles(UPRIGHT.inv() * rotation if joint == 0 else rotation))
    lines += ["MOTION", f"Frames: {motion.num_frames}", f"Frame Time: {1 / motion.fps:.9f}"]
    rows = np.concatenate(columns, axis=1)
    form = " ".join(["%.6f"] * rows.shape[1])
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.write("\n".join(lines) + "\n")
        file.writelines(form % tuple(row) + "\n" for row in rows.tolist())
    return path


def _angles(rotation: Rotation) -> np.ndarray:
    with warnings.catch_warnings():
        # At 90 degrees about x, z and y turn about the same axis; SciPy states so and picks one of the equal answers.
        warnings.filterwarnings("ignore", message="Gimbal lock")
        angles = rotation.as_euler(_WRITTEN_ORDER, degrees=True)
    return np.unwrap(angles, period=360, axis=0)


def _hierarchy(skeleton: Skeleton, scale: float) -> tuple[list[int], list[str]]:
    """Joints in the order of their channels (depth first), and the lines of the HIERARCHY section."""
    children: list[list[int]] = [[] for _ in skeleton.parents]
    for joint, parent in enumerate(skeleton.parents):
        if parent >= 0:
            children[parent].append(joint)
    order: list[int] = []
    lines = ["HIERARCHY"]
    stack: list[tuple[int, int]] = [(0, 0)]  # (joint, depth); a joint of -1 closes a brace
    while stack:
        joint, depth = stack.pop()
        indent = "\t" * depth
        if joint < 0:
            lines.append(f"{indent}}}")
            continue
        name = skeleton.joint_names[joint]
        offset = skeleton.offsets[joint] / scale if depth else np.zeros(3)
        is_end = depth > 0 and not children[joint] and name.endswith("_end")
        if is_end:
            lines += _end_site(offset, indent)
            continue
        channels = "6 Xposition Yposition Zposition" if depth == 0 else "3"
        rotations = " ".join(f"{axis}rotation" for axis in _WRITTEN_ORDER)
        lines += [
            f"{indent}{'JOINT' if depth else 'ROOT'} {name}",
            f"{indent}{{",
            _offset_line(offset, indent),
        ]
        lines.append(f"{indent}\tCHANNELS {channels} {rotations}")
        order.append(joint)
        if not children[joint]:
            lines += _end_site(offset * 0.5, indent + "\t")
        stack.append((-1, depth))
        stack += [(child, depth + 1) for child in reversed(children[joint])]
    return order, lines


def _offset_line(offset: np.ndarray, indent: str) -> str:
    return f"{indent}\tOFFSET " + " ".join(f"{value:.6f}" for value in offset)


def _end_site(offset: np.ndarray, indent: str) -> list[str]:
    return [f"{indent}End Site", f"{indent}{{", _offset_line(offset, indent), f"{indent}}}"]


def _rotation(joint: Joint, values: np.ndarray) -> Rotation | None:
    picked = [
        (joint.first + i, name[0]) for i, name in enumerate(joint.channels) if name.endswith("rotation")
    ]
    if not picked:
        return None
    angles = values[:, [column for column, _ in picked]]
    return Rotation.from_euler("".join(axis for _, axis in picked), angles, degrees=True)


def _position(joint: Joint, values: np.ndarray) -> np.ndarray | None:
    picked = [
        (joint.first + i, "XYZ".index(n[0])) for i, n in enumerate(joint.channels) if n.endswith("position")
    ]
    if not picked:
        return None
    result = np.tile(joint.offset, (len(values), 1))
    for column, axis in picked:
        result[:, axis] = values[:, column]
    return result


def _unit(skeleton: Skeleton, scale: float | None) -> float:
    if scale is not None:
        return float(scale)
    lengths = np.linalg.norm(skeleton.offsets, axis=1)
    reach = [[0.0, 0.0] for _ in skeleton.parents]  # the two longest ways down from each joint
    for joint in range(skeleton.num_joints - 1, 0, -1):
        above = reach[skeleton.parents[joint]]
        above[:] = sorted([*above, reach[joint][0] + float(lengths[joint])], reverse=True)[:2]
    longest = max(sum(pair) for pair in reach)
    if not np.isfinite(longest) or longest <= 0:
        raise InputError(
            "The skeleton has no extent: every OFFSET is zero.", fix="state the unit with scale="
        )
    return min(UNITS.values(), key=lambda unit: abs(np.log(longest * unit / 2.1)))


def _unique(names: list[str]) -> tuple[str, ...]:
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return tuple(result)
