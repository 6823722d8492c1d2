"""Joints of the SMPL body as SAGE groups them (docs/specs/sage.md, section 1)."""

from __future__ import annotations

from typing import Literal

Part = Literal["upper", "lower"]

NUM_JOINTS = 22
DEVICES = (15, 20, 21)
HEAD, HANDS = 15, (20, 21)
UPPER_JOINTS = (0, 3, 6, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21)
LOWER_JOINTS = (0, 1, 2, 4, 5, 7, 8, 10, 11)
PART_JOINTS: dict[Part, tuple[int, ...]] = {"upper": UPPER_JOINTS, "lower": LOWER_JOINTS}
