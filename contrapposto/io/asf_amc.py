"""Acclaim files: a skeleton (.asf) and the motion of its bones (.amc), as the CMU database has them.

Source: M. Meredith and S. Maddock, Motion Capture File Formats Explained, 2001, section 5; mocap.cs.cmu.edu's
FAQ for the unit of length. A bone turns about its beginning; its joint carries its name here, and bones without
children have a further joint `<bone>_end` at their tip. The rest pose is the file's (CMU: a T-pose with the legs 20
degrees from the vertical).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.checks import naming, read_text, shorten
from contrapposto.errors import InputError
from contrapposto.io.bvh import UPRIGHT
from contrapposto.motion import Motion
from contrapposto.progress import late
from contrapposto.skeleton import Skeleton

INCH = 0.0254
_AT_ONCE = 100_000  # lines between two reports of progress
MAX_BONES = 4096


@dataclass
class Bone:
    """A bone: `vector` (3,) from its beginning to its end in file units, `axis` its own frame, `dof` its channels."""

    name: str
    vector: np.ndarray
    axis: Rotation
    order: str
    dof: tuple[str, ...]
    parent: str = ""


def read_amc(
    path: str | Path, asf: str | Path | None = None, *, fps: float = 120.0, scale: float | None = None
) -> Motion:
    """Read an AMC file with its ASF file into a clip on the ASF's own skeleton, in the canonical frame.

    Args:
        path: the .amc file.
        asf: its skeleton. By default the file beside it: of the same name, of the same subject (`02_01.amc`: `02.asf`;
            `HDM_mm_walk_001_120.amc`: `HDM_mm.asf`), or the only one in the folder.
        fps: an AMC file does not say; most of CMU's are recorded at 120, some at 60 frames/s.
        scale: metres per unit of length, in place of what the skeleton states.

    Raises:
        InputError: a file is damaged or misses something, or the two do not belong together.
    """
    path = Path(path)
    text = read_text(path, "AMC")
    skeleton_path = Path(asf) if asf is not None else find_asf(path)
    asf_text = read_text(skeleton_path, "ASF")
    with naming(skeleton_path):
        bones, stated, degrees = _parse_asf(asf_text)
    with naming(path):
        values = _parse_amc(text, bones)
        return _motion(
            skeleton_path.stem, bones, values, scale or stated, degrees or ":DEGREES" in text.upper(), fps
        )


def find_asf(path: Path) -> Path:
    """The skeleton that belongs to an .amc file (see `read_amc`).

    Raises:
        InputError: there is none, or several and none has the name.
    """
    matches = sorted(p for p in path.parent.iterdir() if p.suffix.lower() == ".asf")
    by_name = {p.stem.lower(): p for p in matches}
    words = path.stem.lower().split("_")
    for count in range(len(words), 0, -1):  # the whole name, then shorter beginnings
        if "_".join(words[:count]) in by_name:
            return by_name["_".join(words[:count])]
    if len(matches) == 1:
        return matches[0]
    raise InputError(
        f"The skeleton of {path} was not found.",
        found=", ".join(p.name for p in matches[:5]) or "no .asf file in its folder",
        expected=f"{path.stem.partition('_')[0]}.asf beside it",
        fix="put it there, or name it: asf=FILE",
    )


def _parse_asf(text: str) -> tuple[dict[str, Bone], float, bool]:
    """Bones by name, parents first (the first is `root`), metres per unit, and whether angles are degrees."""
    sections = _sections(text)
    missing = [name for name in ("root", "bonedata", "hierarchy") if name not in sections]
    if missing:
        raise InputError("This is not a whole ASF file.", found=f"no section {', '.join(missing)}")
    units = dict(
        line.split(maxsplit=1) for line in sections.get("units", "").splitlines() if len(line.split()) > 1
    )
    degrees = not units.get("angle", "deg").strip().lower().startswith("rad")
    length = _floats(units.get("length", "1"), 1, "length")[0]
    if length <= 0:
        raise InputError(f"The unit of length is {length}.", expected="a positive number")
    bones = {"root": _root(sections["root"], degrees)}
    for block in re.split(r"^\s*begin\b", sections["bonedata"], flags=re.MULTILINE)[1:]:
        bone = _bone(block, degrees)
        if bone.name in bones or len(bones) >= MAX_BONES:
            raise InputError(f"Bone {shorten(bone.name)} is described twice, or there are too many.")
        bones[bone.name] = bone
    return _ordered(bones, sections["hierarchy"]), INCH / length, degrees


def _sections(text: str) -> dict[str, str]:
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    parts = re.split(r"^\s*:(\w+)", lines, flags=re.MULTILINE)
    return {name.lower(): body for name, body in zip(parts[1::2], parts[2::2])}


def _property(block: str, name: str, default: str | None = None) -> str:
    matches = re.search(rf"^\s*{name}[ \t]+(\S.*)$", block, re.MULTILINE | re.IGNORECASE)
    if matches is None and default is None:
        raise InputError(f"A bone has no {name}.", found=shorten(" ".join(block.split())))
    return matches[1].strip() if matches else str(default)


def _floats(text: str, count: int, name: str) -> np.ndarray:
    try:
        values = np.array([float(word) for word in text.split()[:count]])
    except ValueError:
        values = np.zeros(0)
    if len(values) != count or not (np.abs(values) < 1e9).all():
        raise InputError(f"{name} is {shorten(text)}.", expected=f"{count} finite numbers")
    return values


def _frame(angles: str, order: str, degrees: bool) -> tuple[Rotation, str]:
    """A bone's own frame, and its axis order for SciPy: XYZ means x first, about fixed axes."""
    order = order.lower()
    if sorted(order) != ["x", "y", "z"]:
        raise InputError(f"The axis order is {shorten(order)}.", expected="XYZ in any order")
    return Rotation.from_euler(order, _floats(angles, 3, "axis"), degrees=degrees), order


def _root(text: str, degrees: bool) -> Bone:
    axis, order = _frame(
        _property(text, "orientation", "0 0 0"), _property(text, "axis", "XYZ").split()[0], degrees
    )
    dof = tuple(word.lower() for word in _property(text, "order", "TX TY TZ RX RY RZ").split())
    _check_dof("root", dof, ("tx", "ty", "tz", "rx", "ry", "rz"))
    return Bone("root", _floats(_property(text, "position", "0 0 0"), 3, "position"), axis, order, dof)


def _bone(block: str, degrees: bool) -> Bone:
    name = _property(block, "name").split()[0]
    axis, order = _frame(
        _property(block, "axis"), (_property(block, "axis").split()[3:] or ["XYZ"])[0], degrees
    )
    direction = _floats(_property(block, "direction"), 3, "direction")
    norm = float(np.linalg.norm(direction))
    vector = direction / (norm if norm > 0 else 1) * _floats(_property(block, "length"), 1, "length")[0]
    dof = tuple(word.lower() for word in _property(block, "dof", "").split())
    _check_dof(name, dof, ("rx", "ry", "rz"))
    return Bone(name, vector, axis, order, dof)


def _check_dof(name: str, dof: tuple[str, ...], known: tuple[str, ...]) -> None:
    if len(set(dof)) != len(dof) or not set(dof) <= set(known):
        raise InputError(
            f"Bone {shorten(name)} has the degrees of freedom {shorten(' '.join(dof))}.",
            expected=" ".join(known),
        )


def _ordered(bones: dict[str, Bone], text: str) -> dict[str, Bone]:
    """The bones that hang on the root, parents first."""
    children: dict[str, list[str]] = {}
    for line in text.splitlines():
        words = line.split()
        if not words or words[0] in ("begin", "end"):
            continue
        unknown = [word for word in words if word not in bones]
        if unknown:
            raise InputError(
                f"The hierarchy names bones that are not described: {shorten(', '.join(unknown))}."
            )
        children.setdefault(words[0], []).extend(words[1:])
    result: dict[str, Bone] = {}
    waiting = [("root", "")]
    while waiting:
        name, parent = waiting.pop(0)
        if name in result:
            raise InputError(f"Bone {shorten(name)} hangs on two others.")
        bones[name].parent = parent
        result[name] = bones[name]
        waiting += [(child, name) for child in children.get(name, [])]
    loose = [name for name in bones if name not in result]
    if loose:
        raise InputError(f"Bones hang on nothing: {shorten(', '.join(loose))}.", expected="all in :hierarchy")
    return result


def _parse_amc(text: str, bones: dict[str, Bone]) -> dict[str, np.ndarray]:
    """(F, n) values of every bone with degrees of freedom, in the order of its `dof`."""
    wanted = {name: len(bone.dof) for name, bone in bones.items() if bone.dof}
    values: dict[str, list[list[str]]] = {name: [] for name in wanted}
    first = frame = None
    lines, step = text.splitlines(), late("reading motion, lines")
    for number, line in enumerate(lines, 1):
        if number % _AT_ONCE == 0 or number == len(lines):
            step(number, len(lines))
        words = line.split()
        if not words or words[0][0] in "#:":
            continue
        if len(words) == 1 and re.fullmatch(r"\d{1,9}", words[0], re.ASCII):
            _check_frame(values, None if frame is None or first is None else frame - first + 1, frame)
            if frame is not None and int(words[0]) != frame + 1:
                raise InputError("Frames are out of order.", found=f"frame {words[0]} after frame {frame}")
            frame = int(words[0])
            first = frame if first is None else first
        elif frame is None or words[0] not in values or len(words) != wanted[words[0]] + 1:
            raise _misfit(words, frame, bones)
        else:
            values[words[0]].append(words[1:])
    if frame is None or first is None:
        raise InputError(
            "There are no frames.", expected="lines with a frame number, each followed by lines of bones"
        )
    _check_frame(values, frame - first + 1, frame)
    return {name: _finite(name, rows) for name, rows in values.items()}


def _check_frame(values: dict[str, list[list[str]]], count: int | None, frame: int | None) -> None:
    wrong = [name for name, rows in values.items() if count is not None and len(rows) != count]
    if wrong:
        raise InputError(
            f"Frame {frame} does not have every bone exactly once.",
            found=f"too few or too many lines of {shorten(', '.join(wrong))}",
            fix="the file is truncated, or the .asf file belongs to another subject",
        )


def _misfit(words: list[str], frame: int | None, bones: dict[str, Bone]) -> InputError:
    if frame is None:
        return InputError("A line stands before the first frame number.", found=shorten(" ".join(words)))
    if words[0] not in bones:
        return InputError(
            f"Frame {frame} has a bone {shorten(words[0])} that the skeleton does not have.",
            fix="name the .asf file that belongs to this motion",
        )
    return InputError(
        f"Frame {frame}: bone {words[0]} has {len(words) - 1} values.", expected=f"{len(bones[words[0]].dof)}"
    )


def _finite(name: str, rows: list[list[str]]) -> np.ndarray:
    width = len(rows[0])
    try:
        values = np.fromiter((float(word) for row in rows for word in row), np.float64, len(rows) * width)
    except ValueError as error:
        raise InputError(f"Bone {name} has something that is no number.", found=str(error)[:120]) from error
    if not (np.abs(values) < 1e9).all():
        raise InputError(f"Bone {name} has values that are not finite.", fix="repair or cut these frames")
    return values.reshape(-1, width)


def _motion(
    name: str, bones: dict[str, Bone], values: dict[str, np.ndarray], scale: float, degrees: bool, fps: float
) -> Motion:
    names = list(bones)
    frames = len(next(iter(values.values()))) if values else 0
    if "root" not in values or not {"tx", "ty", "tz"} <= set(bones["root"].dof):
        raise InputError("The root has no position.", expected="order TX TY TZ RX RY RZ in the .asf file")
    has_child = {bone.parent for bone in bones.values()}
    tips = [bone for bone in bones.values() if bone.name not in has_child]
    parents = [names.index(bone.parent) if bone.parent else -1 for bone in bones.values()]
    offsets = [
        bones[bone.parent].vector if bone.parent not in ("", "root") else np.zeros(3)
        for bone in bones.values()
    ]
    skeleton = Skeleton(
        name,
        (*names, *(f"{bone.name}_end" for bone in tips)),
        (*parents, *(names.index(bone.name) for bone in tips)),
        np.array([*offsets, *(bone.vector for bone in tips)]) * scale,
    )
    rotations = np.zeros((frames, skeleton.num_joints, 3))
    for index, bone in enumerate(bones.values()):
        turn = _turn(bone, values, frames, degrees)
        rotations[:, index] = (UPRIGHT * turn if index == 0 else turn).as_rotvec()
    root = bones["root"]
    moves = values["root"][:, [root.dof.index(axis) for axis in ("tx", "ty", "tz")]]
    position = UPRIGHT.apply((moves + root.vector) * scale)
    return Motion(rotations, position, fps, skeleton, metadata={"unit": f"{scale:.6g} m"})


def _turn(bone: Bone, values: dict[str, np.ndarray], frames: int, degrees: bool) -> Rotation:
    """Local rotations of a bone in the axes of the rest pose: into its own frame, turn there, and back."""
    angles = np.zeros((frames, 3))
    for column, channel in enumerate(bone.dof):
        if channel[0] == "r":
            angles[:, bone.order.index(channel[1])] = values[bone.name][:, column]
    return bone.axis * Rotation.from_euler(bone.order, angles, degrees=degrees) * bone.axis.inv()
