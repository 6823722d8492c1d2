"""What the metrics of the suite are called, their units, and which way is better."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Column:
    """A metric of a table.

    Args:
        name: as it is logged.
        title: as papers have it.
        unit: of what is shown.
        scale: what the value is multiplied by to be shown.
        better: which way is better; None: neither (it is read beside the truth).
        low, high: bounds of what is shown; None: there is none.
    """

    name: str
    title: str
    unit: str
    scale: float = 1.0
    better: Literal["lower", "higher"] | None = "lower"
    low: float | None = 0.0
    high: float | None = None

    @property
    def shown_unit(self) -> str:
        """The unit with raised exponents."""
        return re.sub(r"\^(-?\d)", lambda match: match[1].translate(_RAISED), self.unit)

    @property
    def bounds(self) -> str:
        """Which values there can be, for a table; empty for errors, which go from 0 to infinity."""
        if self.high is None and self.low in (None, 0.0):
            return ""
        ends = ["-∞" if self.low is None else f"{self.low:g}", "∞" if self.high is None else f"{self.high:g}"]
        return " to ".join(ends)


# Columns of the papers on tracking from three devices, in their units (docs/specs/sage.md, section 5); then more.
PUBLISHED = (
    Column("mpjre", "MPJRE", "deg"),
    Column("mpjpe", "MPJPE", "cm"),
    Column("mpjve", "MPJVE", "cm/s"),
    Column("hand", "hand", "cm"),
    Column("upper", "upper", "cm"),
    Column("lower", "lower", "cm"),
    Column("root", "root", "cm"),
    Column("jitter", "jitter", "10^2 m/s^3", 0.01, None),
)
FURTHER = (
    Column("mpjre_geodesic", "geodesic", "deg", high=180.0),
    Column("root_rotation", "root", "deg"),
    Column("upper_rotation", "upper", "deg"),
    Column("lower_rotation", "lower", "deg"),
    Column("pa_mpjpe", "PA-MPJPE", "cm"),
    Column("foot_skate", "foot skate", "cm/s", better=None),
    Column("floor_penetration", "in floor", "cm", better=None),
)
# Of generators (docs/specs/posegpt.md, section 9), as one source of samples per row.
GENERATION = (
    Column("fid", "FID", ""),
    Column("accuracy", "accuracy", "%", 100, "higher", high=100.0),
    Column("class_accuracy", "by class", "%", 100, "higher", high=100.0),
    Column("mean_average_precision", "mAP", "%", 100, "higher", high=100.0),
    Column("diversity", "diversity", "", better=None),
    Column("multimodality", "multimod.", "", better=None),
)
FORECASTS = (
    Column("ade", "ADE", "m"),
    Column("fde", "FDE", "m"),
    Column("apd", "APD", "m", better=None),
)
_TOKENS = (
    Column("pve", "PVE", "cm"),
    Column("token_nll", "token NLL", "nat"),
    Column("token_accuracy", "token accuracy", "%", 100, "higher", high=100.0),
    Column("codebook_use", "codes in use", "%", 100, "higher", high=100.0),
    Column("codebook_perplexity", "perplexity of codes", "", 1.0, "higher", 1.0),
    Column("pck", "PCK", "%", 100, "higher", high=100.0),
)
_MESHES = (
    Column("pmd", "PMD", "10^-3 side^2"),
    Column("pmd_unaligned", "PMD, not aligned", "10^-3 side^2"),
    Column("distance", "distance", "10^-3 side"),
    Column("jacobian", "Jacobians", ""),
)
_AVATARS = (
    Column("psnr", "PSNR, box", "dB", 1.0, "higher", None),
    Column("ssim", "SSIM, box", "", 1.0, "higher", -1.0, 1.0),
    Column("psnr_fg", "PSNR, mask", "dB", 1.0, "higher", None),
    Column("ssim_fg", "SSIM, mask", "", 1.0, "higher", -1.0, 1.0),
    Column("pose_error_mm", "poses", "mm"),
    Column("pose_error_aligned_mm", "poses, aligned", "mm"),
    Column("pose_error_before_mm", "poses before", "mm"),
    Column("pose_error_aligned_before_mm", "poses before, aligned", "mm"),
)
FAMILIES: dict[str, tuple[Column, ...]] = {
    "Motion": (*PUBLISHED, *FURTHER),
    "Tokens": _TOKENS,
    "Generated motion": GENERATION,
    "Forecasts": FORECASTS,
    "Meshes": _MESHES,
    "Avatars": _AVATARS,
}
MEANINGS = {
    "mpjre": "mean joint rotation error: mean absolute axis-angle component of local rotations",
    "mpjpe": "mean joint position error, the predicted head where the true one is",
    "mpjve": "mean joint velocity error",
    "hand": "MPJPE of the two wrists",
    "upper": "MPJPE of the upper body",
    "lower": "MPJPE of pelvis and legs",
    "root": "MPJPE of the pelvis",
    "jitter": "mean third derivative of joint positions; near that of the truth is best",
    "mpjre_geodesic": "mean angle between predicted and true local rotations",
    "root_rotation": "MPJRE of the pelvis",
    "upper_rotation": "MPJRE of the upper body",
    "lower_rotation": "MPJRE of the legs",
    "pa_mpjpe": "MPJPE after a similarity alignment of every frame",
    "foot_skate": "speed of feet near the floor; near that of the truth is best",
    "floor_penetration": "mean depth of the lowest joint below the floor; near that of the truth is best",
    "fid": "Fréchet distance of the classifier's features to those of real motion",
    "accuracy": "share of samples in which the classifier recognises the action",
    "pmd": "mean squared vertex distance after alignment of the mean vertex",
    "distance": "mean vertex distance after alignment of the mean vertex",
    "jacobian": "error of the faces' Jacobians",
    "psnr": "peak signal to noise ratio in the figure's box",
    "ssim": "structural similarity in the figure's box",
    "psnr_fg": "peak signal to noise ratio in the figure's mask",
    "ssim_fg": "structural similarity in the figure's mask",
}
"""What metrics are, by name, for people who meet them for the first time."""
_KNOWN = {column.name: column for columns in FAMILIES.values() for column in columns}
_ROTATIONS = ("root_rotation", "upper_rotation", "lower_rotation")


def split_name(name: str) -> tuple[Column | None, str]:
    """The column of a metric and the group that its name ends with: `pmd_unseen_poses` is `pmd` of `unseen poses`."""
    parts = name.split("_")
    for count in range(len(parts), 0, -1):
        column = _KNOWN.get("_".join(parts[:count]))
        if column is not None:
            return column, " ".join(parts[count:])
    return None, ""


def title_of(name: str) -> str:
    """A metric's title with its group; names that are not known are shown as they are."""
    column, group = split_name(name)
    if column is None:
        return name
    title = f"{column.title} rotation" if column.name in _ROTATIONS else column.title
    return f"{title}, {group}" if group else title


def family_of(names: list[str]) -> str:
    """The family that most of these metrics belong to."""
    columns = [split_name(name)[0] for name in names]
    counts = {family: sum(c in known for c in columns if c) for family, known in FAMILIES.items()}
    best = max(counts, key=lambda family: counts[family])
    return best if counts[best] else "Other"


def describe_settings(settings: Mapping[str, Any]) -> str:
    """Settings of an evaluation in one line: `steps: 5; finishing: no filter, no reach, no floor`."""
    return "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in settings.items())
