"""Skinning weights and joints for an unrigged figure, carried over from the shipped body by place and normal.

No learning: every vertex of the target takes the weights of the body's vertices that lie at the same place of the same
part (`alignment`) and face the same way; weights are smoothed over the target's surface; a joint lies where its weights
meet those of its parent. The rest pose of the arms is compared with the body's, and the difference is taken off.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from contrapposto.body import load_body
from contrapposto.mesh.clean import components
from contrapposto.mesh.gltf_document import vertex_normals
from contrapposto.mesh.operators import doubled_areas, laplacian
from contrapposto.skeleton import SMPLH52
from contrapposto.systems.npr.alignment import FigureLandmarks, carried, figure_landmarks
from contrapposto.systems.npr.humanoid import JOINTS, NUM_JOINTS, PARENTS, JointMotion

_CANDIDATES = 24
_NEAREST = 4e-3  # all lengths here and below: shares of the longest side
_SMOOTHING = 4e-4  # area
_SMALL_PART = 0.05  # separate parts at most so large move as one piece
_LEAST_TURN = 15.0  # degrees: rest poses of arms that differ less are left alone
_INDEX = {name: number for number, name in enumerate(JOINTS)}
_ARM = ("shoulder", "elbow", "wrist")
_LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")


@dataclass(frozen=True, eq=False)
class Skin:
    """A figure's joints and what hangs on them, in an upright frame (see `humanoid`).

    Args:
        weights: (V, 22), at most four in a row are not zero; rows sum to one.
        rest: (22, 3) joints.
        corrections: (52, 3, 3) rotation from the figure's rest pose to the body's, see `humanoid.drive`.
        arm_turns: degrees by which the rest pose of the right and left arm was corrected; 0: left alone.
    """

    weights: np.ndarray
    rest: np.ndarray
    corrections: np.ndarray
    arm_turns: tuple[float, float]

    def transforms(self, motion: JointMotion) -> np.ndarray:
        """(T, 22, 3, 4) of the joints from the rest pose."""
        turns = motion.rotations[:, :NUM_JOINTS]
        places = np.zeros((len(turns), NUM_JOINTS, 3))
        for joint, parent in enumerate(PARENTS):
            bone = self.rest[joint] - self.rest[max(parent, 0)]
            places[:, joint] = motion.pelvis if parent < 0 else places[:, parent] + turns[:, parent] @ bone
        shifts = places - np.einsum("tjab,jb->tja", turns, self.rest)
        return np.concatenate([turns, shifts[..., None]], axis=-1)

    def pose(self, vertices: np.ndarray, motion: JointMotion) -> np.ndarray:
        """Vertices (V, 3) of the rest pose to (T, V, 3): linear blend skinning."""
        points = np.concatenate([vertices, np.ones((len(vertices), 1))], axis=1)
        weights = sp.csr_matrix(self.weights)
        frames = [weights @ frame.reshape(NUM_JOINTS, 12) for frame in self.transforms(motion)]
        return np.stack([np.einsum("vab,vb->va", frame.reshape(-1, 3, 4), points) for frame in frames])


def transferred_skin(
    vertices: np.ndarray, faces: np.ndarray, landmarks: FigureLandmarks, *, straighten: bool = True
) -> Skin:
    """Give a figure the skin of the shipped body.

    Args:
        vertices: (V, 3), each on a face, upright, in units of the figure's longest side, the box's centre at the origin.
        faces: (F, 3).
        landmarks: `figure_landmarks` of these.
        straighten: correct the rest pose of arms that differ from the body's.
    """
    body = _body()
    places = carried(vertices, landmarks, body.landmarks)
    weights = _nearest_weights(places, _normals(vertices, faces), body)
    masses = _masses(vertices, faces)
    weights = _rigid_parts(vertices, faces, _smoothed(vertices, faces, masses, weights))
    weights = _largest(_worn_on_head(vertices, faces, weights, landmarks), 4)
    rest = _joint_places(vertices, weights, masses)
    rest = np.where(np.isfinite(rest), rest, body.joints)
    corrections, turns = (
        _arm_corrections(rest, body.joints, landmarks, body.landmarks)
        if straighten
        else (_none(), (0.0, 0.0))
    )
    return Skin(weights, rest, corrections, turns)


def skin_fault(vertices: np.ndarray, faces: np.ndarray, skin: Skin) -> str | None:
    """Why a transferred skin cannot be trusted; None: nothing speaks against it."""
    masses = _masses(vertices, faces)
    shares = (skin.weights * masses[:, None]).sum(axis=0) / masses.sum()
    for part in _LIMBS:
        left, right = (shares[_INDEX[f"{side}_{part}"]] for side in ("left", "right"))
        if min(left, right) < 1e-4:
            return f"no part of the mesh was found for the {part}s"
        if max(left, right) > 2.5 * min(left, right):
            return f"left and right {part} are not alike"
    for side in ("left", "right"):
        leg = [skin.rest[_INDEX[f"{side}_{part}"], 1] for part in ("hip", "knee", "ankle")]
        if not leg[0] > leg[1] > leg[2]:
            return f"the joints of the {side} leg are not one below the other"
    below = skin.weights[
        :, [_INDEX[f"{side}_{part}"] for side in ("left", "right") for part in ("knee", "ankle", "foot")]
    ]
    sides = below.reshape(len(below), 2, 3).sum(-1)
    joined = float((masses * sides.min(axis=1)).sum() / max((masses * sides.sum(axis=1)).sum(), 1e-12))
    if joined > 0.06:
        return "the lower legs are one piece (a robe or a skirt)"
    return None


def body_rotations(skin: Skin, faces: np.ndarray) -> np.ndarray:
    """(F, 3, 3) corrections of a skin's rest pose, blended on faces (F, 3) by their vertices' weights."""
    blended = np.einsum("fj,jab->fab", skin.weights[faces].mean(axis=1), skin.corrections[:NUM_JOINTS])
    rotations: np.ndarray = Rotation.from_matrix(blended).as_matrix()
    return rotations


@dataclass(frozen=True, eq=False)
class _Body:
    """The shipped body in units of its longest side, upright, box centre at the origin."""

    vertices: np.ndarray
    normals: np.ndarray
    weights: np.ndarray
    joints: np.ndarray
    landmarks: FigureLandmarks


@lru_cache(maxsize=1)
def _body() -> _Body:
    body = load_body()
    faces = body.faces.numpy()
    rest = body.rest_vertices()[0].double().numpy()
    low, high = rest.min(axis=0), rest.max(axis=0)
    vertices = (rest - (low + high) / 2) / (high - low).max()
    weights = _body_weights(body.skinning.weights)
    landmarks = figure_landmarks(vertices, faces)
    assert landmarks is not None
    joints = _joint_places(vertices, weights, _masses(vertices, faces))
    return _Body(vertices, _normals(vertices, faces), weights, joints, landmarks)


def _body_weights(weights: torch.Tensor) -> np.ndarray:
    """(V, 52) to (V, 22): the hands' go to the wrists."""
    table: np.ndarray = weights.double().numpy()
    result = table[:, :NUM_JOINTS].copy()
    for joint in range(NUM_JOINTS, table.shape[1]):
        above = joint
        while above >= NUM_JOINTS:
            above = SMPLH52.parents[above]
        result[:, above] += table[:, joint]
    return result


def _nearest_weights(places: np.ndarray, normals: np.ndarray, body: _Body) -> np.ndarray:
    """(V, 22) mean weights of the body's vertices around each place, those that face another way left out."""
    distance, near = cKDTree(body.vertices).query(places, k=_CANDIDATES)
    agreement = np.einsum("vkc,vc->vk", body.normals[near], normals)
    share = np.exp(-((distance / np.maximum(distance[:, :1], _NEAREST)) ** 2))
    share *= np.clip((agreement + 0.2) / 0.7, 1e-4, 1)
    weights = np.einsum("vk,vkj->vj", share, body.weights[near])
    result: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return result


def _smoothed(vertices: np.ndarray, faces: np.ndarray, masses: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """One implicit step of diffusion over the surface."""
    mass = sp.diags(np.maximum(masses, 1e-9))
    factor = splu((mass + _SMOOTHING / 2 * laplacian(vertices, faces)).tocsc())
    solved = np.clip(factor.solve(mass @ weights), 0, None)
    result: np.ndarray = solved / np.maximum(solved.sum(axis=1, keepdims=True), 1e-9)
    return result


def _rigid_parts(vertices: np.ndarray, faces: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Buttons, eyes and the like do not bend: small separate parts take their mean weights."""
    part = components(len(vertices), faces)
    count = int(part.max()) + 1
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    np.minimum.at(low, part, vertices)
    np.maximum.at(high, part, vertices)
    small = ((high - low).max(axis=1) < _SMALL_PART)[part]
    sums = np.zeros((count, weights.shape[1]))
    np.add.at(sums, part, weights)
    means = sums / np.bincount(part, minlength=count)[:, None]
    return np.where(small[:, None], means[part], weights)


def _worn_on_head(
    vertices: np.ndarray, faces: np.ndarray, weights: np.ndarray, landmarks: FigureLandmarks
) -> np.ndarray:
    """Hats, helmets and hair follow the head: separate parts that lie above the neck take no weights of arms.

    Seen from the front a brim lies where the shoulders and hands of a figure with a small head are.
    """
    chest, neck = landmarks.points[13:15, 1]
    part = components(len(vertices), faces)
    kept = [_INDEX[name] for name in ("neck", "head")]
    result = weights.copy()
    for number in range(int(part.max()) + 1):
        members = np.flatnonzero(part == number)
        low, middle = np.quantile(vertices[members, 1], (0.05, 0.5))
        if middle < neck or low < chest:
            continue
        own = np.zeros_like(result[members])
        own[:, kept] = result[members][:, kept]
        own[:, _INDEX["head"]] += 1 - own.sum(axis=1)
        result[members] = own
    return result


def _largest(weights: np.ndarray, count: int) -> np.ndarray:
    """The largest `count` of each row, summing to one; the others zero."""
    columns = np.argsort(-weights, axis=1, kind="stable")[:, :count]
    kept = np.zeros_like(weights)
    np.put_along_axis(kept, columns, np.take_along_axis(weights, columns, axis=1), axis=1)
    result: np.ndarray = kept / kept.sum(axis=1, keepdims=True)
    return result


def _joint_places(vertices: np.ndarray, weights: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """(22, 3) places where a joint's weights meet its parent's; NaN where they do not."""
    result = np.full((NUM_JOINTS, 3), np.nan)
    for joint, parent in enumerate(PARENTS):
        share = weights[:, joint] * masses * (weights[:, parent] if parent >= 0 else 1.0)
        if share.sum() > 1e-7:
            result[joint] = share @ vertices / share.sum()
    return result


def _arm_corrections(
    rest: np.ndarray, known: np.ndarray, own: FigureLandmarks, body: FigureLandmarks
) -> tuple[np.ndarray, tuple[float, float]]:
    """Rotations that bring arms to the body's rest pose where the outline states that they hang elsewhere."""
    corrections = _none()
    turns = [0.0, 0.0]
    for number, (side, tip) in enumerate((("right", 0), ("left", 2))):
        angles = [
            np.degrees(np.arctan2(-d[1], abs(d[0])))
            for d in (one.points[tip] - one.points[tip + 1] for one in (own, body))
        ]
        if abs(angles[0] - angles[1]) < _LEAST_TURN:
            continue
        turns[number] = float(angles[0] - angles[1])
        joints = [_INDEX[f"{side}_{part}"] for part in _ARM]
        for first, second in itertools.pairwise(joints):
            target, wanted = (_unit(one[second] - one[first]) for one in (rest, known))
            corrections[first] = Rotation.align_vectors([wanted], [target])[0].as_matrix()
        hand = [
            joints[2],
            *(j for j, name in enumerate(SMPLH52.joint_names) if j >= NUM_JOINTS and name.startswith(side)),
        ]
        corrections[hand] = corrections[joints[1]]
    return corrections, (turns[0], turns[1])


def _none() -> np.ndarray:
    return np.tile(np.eye(3), (SMPLH52.num_joints, 1, 1))


def _unit(vector: np.ndarray) -> np.ndarray:
    result: np.ndarray = vector / max(float(np.linalg.norm(vector)), 1e-12)
    return result


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    return vertex_normals(vertices, faces).astype(np.float64)


def _masses(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V,) a third of the area of the faces around each vertex."""
    return np.bincount(faces.ravel(), np.repeat(doubled_areas(vertices, faces) / 6, 3), len(vertices))
