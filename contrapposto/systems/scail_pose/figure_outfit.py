"""What stylised figures wear and hold: skirts, capes, armour, swords, shields."""

from __future__ import annotations

import numpy as np

from contrapposto.systems.scail_pose.figure_parts import NECK, Posed
from contrapposto.systems.scail_pose.figure_solids import Solids, random_color


def clothes(solids: Solids, posed: Posed, palette: list[np.ndarray], rng: np.random.Generator) -> None:
    """Skirts, capes, pauldrons, belts, scarves, backpacks, bracers."""
    joints, turns = posed.joints, posed.turns
    width = float(np.linalg.norm(joints[16] - joints[17])) / 2
    if rng.random() < 0.25:  # skirt or robe
        long = rng.uniform(0.3, 1.05)
        feet = joints[[7, 8]].mean(0)
        end = joints[0] + long * (feet - joints[0])
        solids.frustum(
            joints[3],
            end,
            (width * 0.9, width * rng.uniform(1.0, 2.2)),
            palette[rng.choice([1, 3])],
            sides=10,
            flat=rng.uniform(0.6, 1),
            turn=turns[0],
        )
    if rng.random() < 0.25:  # cape
        neck = joints[NECK] + turns[9] @ [0, -0.03, -0.09]
        low = (
            joints[0]
            + rng.uniform(0.1, 0.95) * (joints[[7, 8]].mean(0) - joints[0])
            + turns[0] @ [0, 0, -0.2]
        )
        solids.frustum(
            neck,
            low,
            (width * 0.9, width * rng.uniform(1.1, 2)),
            palette[6],
            sides=8,
            flat=0.12,
            turn=turns[9],
        )
    if rng.random() < 0.3:  # pauldrons
        size = width * rng.uniform(0.35, 0.7)
        for joint in (16, 17):
            solids.ellipsoid(
                joints[joint], [size, 0.8 * size, size], palette[4], turns[joint], rng.choice([1, 0.5])
            )
    if rng.random() < 0.3:  # belt
        solids.frustum(
            joints[3] + [0, -0.05, 0],
            joints[3] + [0, 0.0, 0],
            (width * 1.15,) * 2,
            palette[5],
            sides=10,
            flat=0.8,
            turn=turns[0],
        )
    if rng.random() < 0.2:  # scarf or collar
        solids.ellipsoid(joints[NECK], [width * rng.uniform(0.5, 0.9), width * 0.3, width * 0.6], palette[6])
    if rng.random() < 0.15:  # backpack or wings
        reach = width * rng.uniform(0.6, 2.5)
        solids.ellipsoid(
            joints[9] + turns[9] @ [0, 0, -0.2],
            [reach, width * rng.uniform(0.7, 1.3), 0.1],
            palette[2],
            turns[9],
            0.6,
        )
    for joint in (18, 19) if rng.random() < 0.2 else ():  # bracers
        end = joints[joint + 2]
        thick = posed.bone * rng.uniform(1.1, 1.7)
        solids.frustum(0.6 * joints[joint] + 0.4 * end, end, (thick, thick * 1.2), palette[4], sides=8)


def props(solids: Solids, posed: Posed, palette: list[np.ndarray], rng: np.random.Generator) -> None:
    """Something in the hands: swords, staffs, shields, balls."""
    scale = posed.sizes["hands"] ** 0.5
    for side, wrist in ((1, 20), (-1, 21)):
        if rng.random() > 0.2:
            continue
        turn = posed.turns[wrist]
        grip = posed.joints[wrist] + turn @ [side * 0.06 * posed.sizes["hands"], 0, 0]
        along = turn @ [0, rng.choice([0.0, 0.0, 1.0]), rng.choice([1.0, 1.0, -1.0])] + rng.normal(0, 0.2, 3)
        if rng.random() < 0.4:
            along = np.array([0, 1.0, 0.1])
        along /= np.linalg.norm(along)
        kind, color = rng.choice(["sword", "staff", "shield", "ball", "axe"]), random_color(rng)
        if kind == "sword":
            long = rng.uniform(0.4, 1.1) * scale
            solids.frustum(grip, grip + along * long, (0.05 * scale, 0.03 * scale), color, sides=4, flat=0.3)
            solids.frustum(
                grip + along * 0.05, grip + along * 0.1, (0.14 * scale,) * 2, palette[4], sides=4, flat=0.4
            )
        elif kind in ("staff", "axe"):
            tip = grip + along * rng.uniform(0.3, 1.0)
            solids.frustum(grip - along * rng.uniform(0.1, 0.9), tip, (0.02 * scale,) * 2, color, sides=6)
            if rng.random() < 0.7:
                solids.ellipsoid(tip, rng.uniform(0.04, 0.2, 3) * scale, random_color(rng))
        elif kind == "shield":
            out = posed.joints[wrist] + np.array([side * 0.05, 0, 0.12])
            solids.frustum(
                out,
                out + np.array([side * 0.02, 0, 0.04]),
                (rng.uniform(0.15, 0.4) * scale,) * 2,
                color,
                sides=int(rng.choice([4, 8, 12])),
            )
        else:
            solids.ellipsoid(grip + along * 0.1, [rng.uniform(0.06, 0.2) * scale] * 3, color)
