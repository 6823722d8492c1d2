"""PoseGPT's losses (docs/specs/posegpt.md, sections 5 to 7)."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto import rotations as rot
from contrapposto.body import BodyModel
from contrapposto.body.skinning import Skinning
from contrapposto.errors import ConfigError
from contrapposto.systems.posegpt.autoencoder import DecodedMotion
from contrapposto.systems.posegpt.poses import split_pose

Kind = Literal["l2", "l1", "gaussian", "laplacian"]
KINDS = ("l2", "l1", "gaussian", "laplacian")


def gaussian_nll(pred: Tensor, true: Tensor, log_sigma: Tensor | float = 0.0) -> Tensor:
    """Elementwise 0.5 (ln 2 pi + s) + 0.5 (a - b)^2 / exp(s)."""
    s = torch.as_tensor(log_sigma, dtype=pred.dtype, device=pred.device)
    return 0.5 * (math.log(2 * math.pi) + s) + 0.5 * (pred - true).square() / s.exp()


def laplacian_nll(pred: Tensor, true: Tensor, log_sigma: Tensor | float = 0.0) -> Tensor:
    """Elementwise ln 2 + s + |a - b| / exp(s)."""
    s = torch.as_tensor(log_sigma, dtype=pred.dtype, device=pred.device)
    return math.log(2) + s + (pred - true).abs() / s.exp()


def masked_mean(values: Tensor, valid: Tensor | None = None) -> Tensor:
    """(B,) mean over the trailing dimensions of (B, T, ...), then over the valid frames; 0 where none is."""
    per_frame = values.flatten(2).mean(-1) if values.ndim > 2 else values
    if valid is None:
        return per_frame.mean(1)
    weight = valid.to(per_frame.dtype)
    # Selected, not multiplied: what stands at invalid frames may be infinite.
    total = torch.where(weight > 0, per_frame, 0).sum(1)
    return total / weight.sum(1).clamp_min(1)


@dataclass(frozen=True)
class PoseLosses:
    """Scalars; `total` is the weighted sum, the others are unweighted and hold the constants of the NLL.

    Args:
        total: what is minimised.
        root: matrix entries of the root's rotation.
        body: matrix entries of the other joints' rotations.
        trans: root position, metres.
        quantizer: of the quantiser, mean over the valid tokens of the batch.
        vert: vertex positions, metres; zero where it was not asked for.
        step: steps of the root from frame to frame, metres.
        change: changes of all rotations' matrix entries from frame to frame.
    """

    total: Tensor
    root: Tensor
    body: Tensor
    trans: Tensor
    quantizer: Tensor
    vert: Tensor
    step: Tensor
    change: Tensor


class PoseLoss(nn.Module):
    """Loss of the auto-encoder.

    Args:
        kind: `l2` and `gaussian` are Gaussian NLL, `l1` and `laplacian` Laplacian; the spread is 1 for the
            first of each pair and learned for the second (call `train_spreads` on the auto-encoder).
        root_weight, body_weight, trans_weight, quantizer_weight, vert_weight: of the terms.
        step_weight: of the mean distance of the root's steps, which the original does without: the error of a
            position is the sum of those of all steps before it.
        change_weight: of the mean distance of the rotations' changes from frame to frame, which the original does
            without too: poses that are right on average may still tremble.
        gaussian_vertices: Gaussian in place of Laplacian NLL for vertices.
        mask_translation: hold the target translation at zero (`mask_trans`).

    Raises:
        ConfigError: an unknown kind.
    """

    def __init__(
        self,
        kind: Kind = "l2",
        *,
        root_weight: float = 1.0,
        body_weight: float = 1.0,
        trans_weight: float = 1.0,
        quantizer_weight: float = 0.25,
        vert_weight: float = 100.0,
        step_weight: float = 0.0,
        change_weight: float = 0.0,
        gaussian_vertices: bool = False,
        mask_translation: bool = False,
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise ConfigError(f"There is no loss {kind!r}.", expected=", ".join(KINDS))
        self.kind: Kind = kind
        self.weights = {"root": root_weight, "body": body_weight, "trans": trans_weight}
        self.quantizer_weight, self.vert_weight = quantizer_weight, vert_weight
        self.step_weight, self.change_weight = step_weight, change_weight
        self.gaussian_vertices, self.mask_translation = gaussian_vertices, mask_translation

    @property
    def learned(self) -> bool:
        """Whether spreads are learned."""
        return self.kind in ("gaussian", "laplacian")

    def train_spreads(self, log_sigmas: nn.ParameterDict) -> None:
        """Let those of an auto-encoder's `log_sigmas` be trained that this loss uses."""
        for name, value in log_sigmas.items():
            used = name in self.weights or (name == "vert" and self.vert_weight > 0)
            value.requires_grad_(self.learned and used)

    def forward(
        self,
        motion: DecodedMotion,
        target: Tensor,
        valid: Tensor,
        quantizer_loss: Tensor,
        token_valid: Tensor,
        log_sigmas: Mapping[str, Tensor] | None = None,
        vertices: tuple[Tensor, Tensor, Tensor] | None = None,
    ) -> PoseLosses:
        """Every term.

        Args:
            motion: the reconstruction.
            target: (B, T, 3 J + 3) pose vectors.
            valid: (B, T).
            quantizer_loss: (B, L) per token.
            token_valid: (B, L).
            log_sigmas: of the auto-encoder, for learned spreads.
            vertices: predicted and true (B', T', V, 3) and their validity (B', T'), see `VertexSampler`.
        """
        axis_angles, position = split_pose(target)
        true, pred = rot.axis_angle_to_matrix(axis_angles), motion.matrices
        if self.mask_translation:
            position = torch.zeros_like(position)
        pairs = {
            "root": (pred[:, :, :1], true[:, :, :1]),
            "body": (pred[:, :, 1:], true[:, :, 1:]),
            "trans": (motion.translation(valid), position),
        }
        terms = {
            name: masked_mean(self._nll(name, *pair, log_sigmas), valid).mean()
            for name, pair in pairs.items()
        }
        quantizer = _mean_over(quantizer_loss, token_valid)
        wanted = position.diff(dim=1)
        step = masked_mean((motion.deltas[:, 1:] - wanted).abs(), valid[:, 1:]).mean()
        change = masked_mean((pred.diff(dim=1) - true.diff(dim=1)).abs(), valid[:, 1:]).mean()
        total = self.quantizer_weight * quantizer + self.step_weight * step + self.change_weight * change
        total = total + sum(self.weights[name] * term for name, term in terms.items())
        vert = target.new_zeros(())
        if vertices is not None:
            vert = masked_mean(self._nll("vert", *vertices[:2], log_sigmas), vertices[2]).mean()
            total = total + self.vert_weight * vert
        return PoseLosses(total, terms["root"], terms["body"], terms["trans"], quantizer, vert, step, change)

    def _nll(self, name: str, pred: Tensor, true: Tensor, log_sigmas: Mapping[str, Tensor] | None) -> Tensor:
        spread: Tensor | float = 0.0
        if self.learned:
            if log_sigmas is None:
                raise ValueError(f"log_sigmas: the loss {self.kind} needs them")
            spread = log_sigmas[name]
        gaussian = self.gaussian_vertices if name == "vert" else self.kind in ("l2", "gaussian")
        return (gaussian_nll if gaussian else laplacian_nll)(pred, true, spread)


class VertexSampler(nn.Module):
    """Vertices of some frames of prediction and truth, for the vertex term and for errors in millimetres.

    Args:
        body: whose joints are those of the pose vectors; joints that these lack at the end (hands) are at rest.
        frame_share: share of the frames; every int(1 / share)-th is taken, int(T share) of them.
        batch_share: share of the batch, its beginning.
        hand_mean: (90,) axis-angles added to those of both hands' 30 joints (the last ones), which the
            original does by accident with SMPL-X: its hands are slightly bent on both sides of the loss.
        use_translation: False leaves the figure at the origin (`alpha_trans` of 0).
        num_vertices: compare so many of the body's vertices, evenly chosen by number, on more frames for the same
            time; None: all.

    Raises:
        ConfigError: shares outside (0, 1].
    """

    hand_mean: Tensor | None

    def __init__(
        self,
        body: BodyModel,
        *,
        frame_share: float = 0.1,
        batch_share: float = 1.0,
        hand_mean: Tensor | None = None,
        use_translation: bool = True,
        num_vertices: int | None = None,
    ) -> None:
        super().__init__()
        for name, share in (("frame_share", frame_share), ("batch_share", batch_share)):
            if not 0 < share <= 1:
                raise ConfigError(f"{name} is {share}.", expected="a number above 0, at most 1")
        self.body = body if num_vertices is None else thinned(body, num_vertices)
        self.frame_share, self.batch_share = frame_share, batch_share
        self.use_translation = use_translation
        self.register_buffer("hand_mean", hand_mean, persistent=False)

    @property
    def period(self) -> int:
        """Every how many frames one is taken."""
        return int(1 / self.frame_share)

    def vertices(self, matrices: Tensor, translation: Tensor) -> Tensor:
        """(..., V, 3) metres of local rotations (..., J, 3, 3) and root positions (..., 3)."""
        lead = matrices.shape[:-3]
        matrices, translation = matrices.flatten(0, -4), translation.flatten(0, -2)
        absent = self.body.skeleton.num_joints - matrices.shape[1]
        if absent > 0:
            rest = torch.eye(3).to(matrices).expand(len(matrices), absent, 3, 3)
            matrices = torch.cat([matrices, rest], dim=1)
        if self.hand_mean is not None:
            hands = rot.matrix_to_axis_angle(matrices[:, -30:]) + self.hand_mean.view(30, 3)
            matrices = torch.cat([matrices[:, :-30], rot.axis_angle_to_matrix(hands)], dim=1)
        if not self.use_translation:
            translation = torch.zeros_like(translation)
        vertices: Tensor = self.body(matrices, translation).vertices
        return vertices.unflatten(0, lead)

    def forward(
        self, motion: DecodedMotion, target: Tensor, valid: Tensor, offset: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Predicted and true vertices (B', T', V, 3) and validity (B', T').

        Args:
            motion: the reconstruction.
            target: (B, T, 3 J + 3) pose vectors.
            valid: (B, T).
            offset: first frame, 0 to `period` - 1; drawn anew in every step.
        """
        rows = slice(0, max(1, int(len(target) * self.batch_share)))
        count = max(1, int(target.shape[1] * self.frame_share))
        frames = torch.arange(target.shape[1], device=target.device)[offset :: self.period][:count]
        pred = self.vertices(motion.matrices[rows, frames], motion.translation(valid)[rows, frames])
        axis_angles, position = split_pose(target[rows, frames])
        with torch.no_grad():
            true = self.vertices(rot.axis_angle_to_matrix(axis_angles), position)
        return pred, true, valid[rows, frames]


def thinned(body: BodyModel, count: int) -> BodyModel:
    """A body on the same skeleton with so many of the vertices, without faces; its joints are those of the whole.

    Args:
        body: left as it is.
        count: vertices, chosen evenly by number; all where there are no more.
    """
    chosen = torch.linspace(0, body.num_vertices - 1, min(count, body.num_vertices)).long()
    few = copy.deepcopy(body)
    few.v_template = body.v_template[chosen]
    few.faces = body.faces[:0]
    few.shape_directions = body.shape_directions.unflatten(1, (-1, 3))[:, chosen].flatten(1)
    if body.pose_directions is not None:
        few.pose_directions = body.pose_directions.unflatten(1, (-1, 3))[:, chosen].flatten(1)
    few.skinning = Skinning(body.skinning.weights[chosen])
    return few


def token_nll(logits: Tensor, indices: Tensor, token_valid: Tensor) -> Tensor:
    """Scalar cross entropy of codes: sum over valid tokens of the mean over codebooks, over the number of them.

    Args:
        logits: (B, L, K, V), position i predicting token i.
        indices: (B, L, K) codes, -1 at invalid tokens.
        token_valid: (B, L).
    """
    nll = F.cross_entropy(logits.flatten(0, 2), indices.clamp_min(0).flatten(), reduction="none")
    return _mean_over(nll.view(indices.shape).mean(-1), token_valid)


def token_nll_with_end(
    logits: Tensor, indices: Tensor, token_valid: Tensor, *, original: bool = False
) -> Tensor:
    """The same for networks that also predict the end: class 0 is the end, class c + 1 the code c.

    Counted are the valid tokens and the first one after them; the original counts all the padding as well,
    so that most of the loss is about predicting padding from padding.

    Args:
        logits: (B, L, K, V + 1).
        indices: (B, L, K) codes, -1 at invalid tokens.
        token_valid: (B, L).
        original: the plain mean over everything.
    """
    nll = F.cross_entropy(logits.flatten(0, 2), (indices + 1).flatten(), reduction="none")
    nll = nll.view(indices.shape).mean(-1)
    if original:
        return nll.mean()
    before = F.pad(token_valid.bool()[:, :-1], (1, 0), value=True)
    return _mean_over(nll, token_valid.bool() | before)


def token_accuracy(logits: Tensor, indices: Tensor, token_valid: Tensor, *, with_end: bool = False) -> Tensor:
    """Share of the codes of valid tokens that have the largest logit; arguments of the losses above."""
    hit = (logits.argmax(-1) == indices + int(with_end)).float().mean(-1)
    return _mean_over(hit, token_valid)


def classification_loss(logits: Tensor, labels: Tensor, *, exclusive: bool = False) -> Tensor:
    """Binary cross entropy on k-hot labels (B, A); cross entropy with the first hot class where `exclusive`."""
    if exclusive:
        return F.cross_entropy(logits, labels.to(logits.dtype).argmax(1))
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))


def _mean_over(values: Tensor, valid: Tensor) -> Tensor:
    """Scalar mean of (B, L) values over the valid ones of the whole batch; 0 where none is."""
    weight = valid.to(values.dtype)
    return (values * weight).sum() / weight.sum().clamp_min(1)
