"""Bones and weights that reproduce a sequence of poses: smooth skinning decomposition (Le and Deng, SIGGRAPH Asia 2012).

What a network does with a mesh has no joints. Rigid bones and at most four weights per vertex are fitted to its vertex
tracks, so that the sequence becomes one rigged file with an animation in place of a morph target for every frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

_KEYS = 32  # frames that clusters and weights are fitted to
_CLUSTERINGS = 8
_INFLUENCES = 4


@dataclass(frozen=True, eq=False)
class FittedRig:
    """Bones and what hangs on them.

    Args:
        weights: (V, B), at most four in a row are not zero; rows sum to one.
        places: (B, 3) of the bones at rest.
        transforms: (T, B, 3, 4) rigid, from the rest pose.
        error: root mean square distance from the poses, as a share of the mesh's longest side.
        worst: the largest distance, the same.
    """

    weights: np.ndarray
    places: np.ndarray
    transforms: np.ndarray
    error: float
    worst: float

    def pose(self, rest: np.ndarray) -> np.ndarray:
        """(T, V, 3) of the rest pose (V, 3): linear blend skinning."""
        return _skinned(rest, self.weights, self.transforms)


def fit_rig(rest: np.ndarray, frames: np.ndarray, *, bones: int = 24, rounds: int = 5) -> FittedRig:
    """Fit bones and weights to poses.

    Args:
        rest: (V, 3).
        frames: (T, V, 3) of the same vertices.
        bones: at most so many.
        rounds: alternations between weights and bones.
    """
    rest, frames = np.asarray(rest, np.float64), np.asarray(frames, np.float64)
    keys = frames[np.unique(np.linspace(0, len(frames) - 1, min(len(frames), _KEYS)).astype(int))]
    tracks = _Tracks(rest, keys)
    label = _clusters(rest, keys, tracks, bones)
    weights = np.eye(int(label.max()) + 1)[label]
    for _ in range(rounds):
        transforms = _bones(rest, keys, weights)
        weights = _weights(rest, keys, transforms, tracks)
    transforms = _bones(rest, frames, weights)
    mass = weights.sum(axis=0)
    places = weights.T @ rest / np.maximum(mass, 1e-9)[:, None]
    away = np.linalg.norm(_skinned(rest, weights, transforms) - frames, axis=-1)
    side = max(float(np.ptp(rest, axis=0).max()), 1e-12)
    error = float(np.sqrt(np.square(away).mean())) / side
    return FittedRig(weights, places, transforms, error, float(away.max()) / side)


def _clusters(rest: np.ndarray, frames: np.ndarray, tracks: _Tracks, count: int) -> np.ndarray:
    """(V,) numbers of groups that move as rigid bodies; the worst explained vertex starts each new group."""
    label = np.zeros(len(rest), int)
    for attempt in range(2 * count, 0, -1):  # a new group may be absorbed by the old ones, again and again
        for _ in range(_CLUSTERINGS if label.max() + 1 >= count else 2):
            label = _compact(tracks.residuals(tracks.rigid(_members(label))).argmin(axis=0))
        residual = tracks.residuals(tracks.rigid(_members(label)))[label, np.arange(len(rest))]
        if attempt == 1 or label.max() + 1 >= count or residual.max() < 1e-12 * np.ptp(rest) ** 2:
            break
        label = _split(rest, frames, label, residual)
    return label


class _Tracks:
    """Vertex tracks (T, V, 3) as the products of their coordinates with the rest pose's (V, 3): everything that groups
    need of them is then one matrix product.
    """

    def __init__(self, rest: np.ndarray, frames: np.ndarray) -> None:
        self.points = _homogeneous(rest)
        self.frames = len(frames)
        products = frames.swapaxes(0, 1)[..., None] * self.points[:, None, None]  # V, T, 3, 4
        self.products = products.reshape(len(rest), -1)
        self.squares = np.square(frames).sum(axis=(0, 2))

    def rigid(self, members: sp.csr_matrix) -> np.ndarray:
        """(T, B, 3, 4) rigid motion of each group, by weights (B, V)."""
        size = np.maximum(np.asarray(members.sum(axis=1)), 1e-9)
        middle = members @ self.points[:, :3] / size
        sums = (members @ self.products).reshape(len(size), self.frames, 3, 4).swapaxes(0, 1)
        place = sums[..., 3] / size
        outer = sums[..., :3] - size[..., None] * place[..., None] * middle[:, None]
        return _rigid_transforms(outer, middle, place)

    def residuals(self, transforms: np.ndarray) -> np.ndarray:
        """(B, V) mean squared distances of vertices moved by each bone (T, B, 3, 4) from where they are."""
        bones = transforms.swapaxes(0, 1)
        across = bones.reshape(len(bones), -1) @ self.products.T
        own = np.einsum("btij,btik->bjk", bones, bones)
        moved = np.einsum("bjk,vj,vk->bv", own, self.points, self.points, optimize=True)
        result: np.ndarray = np.maximum(moved - 2 * across + self.squares, 0) / self.frames
        return result


def _split(rest: np.ndarray, frames: np.ndarray, label: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Groups with one more: a part of the one with the largest sum of residuals, from where it is explained worst."""
    group = int(np.bincount(label, residual).argmax())
    inside = np.flatnonzero(label == group)
    seed = inside[residual[inside].argmax()]
    near = np.square(rest[inside] - rest[seed]).sum(1) + np.square(frames[:, inside] - frames[:, [seed]]).sum(
        (0, 2)
    ) / len(frames)
    label = label.copy()
    label[inside[np.argsort(near)[: max(3, len(inside) // 4)]]] = label.max() + 1
    return label


def _compact(label: np.ndarray) -> np.ndarray:
    return np.unique(label, return_inverse=True)[1]


def _members(label: np.ndarray) -> sp.csr_matrix:
    """(B, V) which vertices each group has."""
    shape = (int(label.max()) + 1, len(label))
    return sp.csr_matrix((np.ones(len(label)), (label, np.arange(len(label)))), shape=shape)


def _rigid_transforms(outer: np.ndarray, middle: np.ndarray, place: np.ndarray) -> np.ndarray:
    u, _, v = np.linalg.svd(outer)
    sign = np.ones((*outer.shape[:-2], 3))
    sign[..., 2] = np.sign(np.linalg.det(u @ v))
    turn = (u * sign[..., None, :]) @ v
    shift = place - (turn @ middle[..., None])[..., 0]
    return np.concatenate([turn, shift[..., None]], axis=-1)


def _moved(points: np.ndarray, bone: np.ndarray) -> np.ndarray:
    """(V, T, 3) of points (V, 4), with a fourth coordinate of 1, that follow a bone (T, 3, 4)."""
    return (points @ bone.reshape(-1, 4).T).reshape(len(points), -1, 3)


def _homogeneous(rest: np.ndarray) -> np.ndarray:
    return np.concatenate([rest, np.ones((len(rest), 1))], axis=1)


def _weights(rest: np.ndarray, frames: np.ndarray, transforms: np.ndarray, tracks: _Tracks) -> np.ndarray:
    """(V, B) the best weights of the four bones that explain each vertex best: not negative, summing to one."""
    count = min(_INFLUENCES, transforms.shape[1])
    chosen = np.argsort(tracks.residuals(transforms), axis=0, kind="stable")[:count].T
    away = np.empty((*chosen.shape, len(frames), 3))
    for bone in range(transforms.shape[1]):
        rows, columns = np.nonzero(chosen == bone)
        away[rows, columns] = _moved(tracks.points[rows], transforms[:, bone]) - frames[:, rows].swapaxes(
            0, 1
        )
    flat = away.reshape(*chosen.shape, -1)
    gram = flat @ flat.swapaxes(1, 2)
    gram += 1e-9 * (np.trace(gram, axis1=1, axis2=2)[:, None, None] + 1e-12) * np.eye(count)
    used = np.ones((len(rest), count), bool)
    share = np.zeros((len(rest), count))
    for _ in range(count):
        # With weights that sum to one the error is w' G w: w is G's inverse times ones, over the used bones.
        masked = np.where(used[:, :, None] & used[:, None], gram, np.eye(count))
        share = np.linalg.solve(masked, used.astype(float)[..., None])[..., 0] * used
        share /= share.sum(axis=1, keepdims=True)
        if (share >= 0).all():
            break
        used &= share > 0
    share = np.clip(share, 0, None)
    result = np.zeros((len(rest), transforms.shape[1]))
    np.put_along_axis(result, chosen, share / share.sum(axis=1, keepdims=True), axis=1)
    return result


def _bones(rest: np.ndarray, frames: np.ndarray, weights: np.ndarray, sweeps: int = 3) -> np.ndarray:
    """(T, B, 3, 4) rigid motions for given weights: one bone after the other on what the others leave."""
    table = sp.csr_matrix(weights.T)
    groups = _members(weights.argmax(axis=1)) if _full(weights) else table
    parts = [frames[start : start + _KEYS] for start in range(0, len(frames), _KEYS)]
    transforms = np.concatenate([_Tracks(rest, part).rigid(groups) for part in parts])
    missed = np.ascontiguousarray((frames - _skinned(rest, weights, transforms)).swapaxes(0, 1))
    points = _homogeneous(rest)
    for _ in range(sweeps):
        for bone in range(weights.shape[1]):
            column = table[[bone]]
            members, w = column.indices, column.data
            total = np.square(w).sum()
            if total < 1e-9:
                continue
            own = w[:, None, None] * _moved(points[members], transforms[:, bone])
            left = missed[members] + own  # what this bone's share should be: the pose less all other bones
            middle = np.square(w) @ rest[members] / total
            arms = np.concatenate([w[:, None] * (rest[members] - middle), w[:, None]], axis=1)
            sums = (arms.T @ left.reshape(len(left), -1)).reshape(4, -1, 3)
            outer, place = sums[:3].transpose(1, 2, 0), sums[3] / total
            transforms[:, bone] = _rigid_transforms(outer, middle[None].repeat(len(frames), 0), place)
            missed[members] = left - w[:, None, None] * _moved(points[members], transforms[:, bone])
    return transforms


def _full(weights: np.ndarray) -> bool:
    """Whether every bone has a vertex of its own."""
    return len(np.unique(weights.argmax(axis=1))) == weights.shape[1]


def _skinned(rest: np.ndarray, weights: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    table = sp.csr_matrix(weights)
    points = _homogeneous(rest)
    blended = [table @ frame.reshape(len(frame), 12) for frame in transforms]
    return np.stack([np.einsum("vab,vb->va", frame.reshape(-1, 3, 4), points) for frame in blended])
