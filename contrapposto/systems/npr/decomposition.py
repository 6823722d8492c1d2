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
    label = _clusters(rest, keys, bones)
    weights = np.eye(int(label.max()) + 1)[label]
    for _ in range(rounds):
        transforms = _bones(rest, keys, weights)
        weights = _weights(rest, keys, transforms)
    transforms = _bones(rest, frames, weights)
    mass = weights.sum(axis=0)
    places = weights.T @ rest / np.maximum(mass, 1e-9)[:, None]
    away = np.linalg.norm(_skinned(rest, weights, transforms) - frames, axis=-1)
    side = max(float(np.ptp(rest, axis=0).max()), 1e-12)
    error = float(np.sqrt(np.square(away).mean())) / side
    return FittedRig(weights, places, transforms, error, float(away.max()) / side)


def _clusters(rest: np.ndarray, frames: np.ndarray, count: int) -> np.ndarray:
    """(V,) numbers of groups that move as rigid bodies; the worst explained vertex starts each new group."""
    label = np.zeros(len(rest), int)
    for attempt in range(2 * count, 0, -1):  # a new group may be absorbed by the old ones, again and again
        for _ in range(_CLUSTERINGS if label.max() + 1 >= count else 2):
            label = _compact(_residuals(rest, frames, _rigid(rest, frames, label)).argmin(axis=0))
        residual = _residuals(rest, frames, _rigid(rest, frames, label))[label, np.arange(len(rest))]
        if attempt == 1 or label.max() + 1 >= count or residual.max() < 1e-12 * np.ptp(rest) ** 2:
            break
        label = _split(rest, frames, label, residual)
    return label


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


def _rigid(rest: np.ndarray, frames: np.ndarray, label: np.ndarray) -> np.ndarray:
    """(T, B, 3, 4) rigid motion of each group."""
    members = sp.csr_matrix(
        (np.ones(len(label)), (label, np.arange(len(label)))), shape=(int(label.max()) + 1, len(label))
    )
    size = np.maximum(np.asarray(members.sum(axis=1)).ravel(), 1)[:, None]
    middle = members @ rest / size
    return np.stack([_fitted(members, rest, frame, middle, members @ frame / size, size) for frame in frames])


def _fitted(
    members: sp.csr_matrix,
    rest: np.ndarray,
    frame: np.ndarray,
    middle: np.ndarray,
    place: np.ndarray,
    size: np.ndarray,
) -> np.ndarray:
    """(B, 3, 4) rigid motions that bring weighted points to others; `middle` and `place` are their means."""
    outer = (members @ (frame[:, :, None] * rest[:, None]).reshape(-1, 9)).reshape(-1, 3, 3)
    outer = outer - size[..., None] * place[:, :, None] * middle[:, None]
    return _rigid_transforms(outer, middle, place)


def _rigid_transforms(outer: np.ndarray, middle: np.ndarray, place: np.ndarray) -> np.ndarray:
    u, _, v = np.linalg.svd(outer)
    sign = np.ones((*outer.shape[:-2], 3))
    sign[..., 2] = np.sign(np.linalg.det(u @ v))
    turn = (u * sign[..., None, :]) @ v
    shift = place - (turn @ middle[..., None])[..., 0]
    return np.concatenate([turn, shift[..., None]], axis=-1)


def _residuals(rest: np.ndarray, frames: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """(B, V) mean squared distances of vertices moved by each bone from where they are."""
    return np.stack(
        [np.square(_moved(rest, bone) - frames).sum(-1).mean(0) for bone in transforms.swapaxes(0, 1)]
    )


def _moved(rest: np.ndarray, bone: np.ndarray) -> np.ndarray:
    """(T, V, 3) of vertices that follow a bone (T, 3, 4)."""
    return rest @ bone[:, :, :3].swapaxes(1, 2) + bone[:, None, :, 3]


def _weights(rest: np.ndarray, frames: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """(V, B) the best weights of the four bones that explain each vertex best: not negative, summing to one."""
    count = min(_INFLUENCES, transforms.shape[1])
    chosen = np.argsort(_residuals(rest, frames, transforms), axis=0, kind="stable")[:count].T
    moved = np.stack([_moved(rest, bone) for bone in transforms.swapaxes(0, 1)])  # (B, T, V, 3)
    away = moved[chosen, :, np.arange(len(rest))[:, None]] - frames.swapaxes(0, 1)[:, None]  # (V, K, T, 3)
    gram = np.einsum("vktc,vltc->vkl", away, away)
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
    transforms = _rigid(rest, frames, weights.argmax(axis=1)) if _full(weights) else None
    if transforms is None:
        size = np.maximum(weights.sum(axis=0), 1e-9)[:, None]
        middle = table @ rest / size
        transforms = np.stack([_fitted(table, rest, f, middle, table @ f / size, size) for f in frames])
    posed = _skinned(rest, weights, transforms)
    for _ in range(sweeps):
        for bone in range(weights.shape[1]):
            column = table[[bone]]
            members, w = column.indices, column.data
            if not len(members) or np.square(w).sum() < 1e-9:
                continue
            own = _moved(rest[members], transforms[:, bone])
            # What this bone's share should be: the pose less all other bones.
            left = frames[:, members] - posed[:, members] + w[:, None] * own
            square = np.square(w)
            middle = square @ rest[members] / square.sum()
            place = np.einsum("v,tvc->tc", w, left) / square.sum()
            outer = np.einsum("v,tva,vb->tab", w, left, rest[members] - middle)
            transforms[:, bone] = _rigid_transforms(outer, middle[None].repeat(len(frames), 0), place)
            posed[:, members] += w[:, None] * (_moved(rest[members], transforms[:, bone]) - own)
    return transforms


def _full(weights: np.ndarray) -> bool:
    """Whether every bone has a vertex of its own."""
    return len(np.unique(weights.argmax(axis=1))) == weights.shape[1]


def _skinned(rest: np.ndarray, weights: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    table = sp.csr_matrix(weights)
    points = np.concatenate([rest, np.ones((len(rest), 1))], axis=1)
    blended = [table @ frame.reshape(len(frame), 12) for frame in transforms]
    return np.stack([np.einsum("vab,vb->va", frame.reshape(-1, 3, 4), points) for frame in blended])
