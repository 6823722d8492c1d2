"""Losses of the VQ-VAE stage (docs/specs/sage.md, section 3), with joints-only kinematics of the trained part."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.rotations import sixd_columns_to_matrix
from contrapposto.skeleton import SMPL22, forward_kinematics
from contrapposto.systems.sage.joints import HANDS, HEAD, PART_JOINTS, Part


@dataclass(frozen=True)
class VQLosses:
    """Scalars; `total` is the weighted sum, the others are unweighted.

    Args:
        total: what is minimised.
        reconstruction: 0.2 smooth-L1 of the root's 6D + smooth-L1 of the other joints' 6D.
        quantizer: mean of the quantiser's loss.
        kinematics: smooth-L1 of the part's joint positions, metres, the root at its rest position.
        hand: smooth-L1 of the hands against the observed ones once the heads are aligned; zero for the lower
            part.
    """

    total: Tensor
    reconstruction: Tensor
    quantizer: Tensor
    kinematics: Tensor
    hand: Tensor


class VQLoss(nn.Module):
    """Loss of one part's auto-encoder; only the last frame of a window is supervised.

    Args:
        part: `upper` or `lower`.
        rest_positions: (22, 3) joint positions of the zero-shape body at rest, metres; the default skeleton's
            where absent.
        root_weight: of the root within the reconstruction.
        quantizer_weight, kinematics_weight: of these terms.
        hand_weight: of the hands; 5 for the upper part and 0 for the lower where absent.
    """

    offsets: Tensor

    def __init__(
        self,
        part: Part,
        rest_positions: Tensor | None = None,
        *,
        root_weight: float = 0.2,
        quantizer_weight: float = 0.25,
        kinematics_weight: float = 5.0,
        hand_weight: float | None = None,
    ) -> None:
        super().__init__()
        joints = PART_JOINTS[part]
        self.part, self.joints = part, joints
        # The tree of the part alone: every parent of a joint of a part is in that part.
        self.parents = tuple(joints.index(p) if p >= 0 else -1 for p in (SMPL22.parents[j] for j in joints))
        rest = torch.from_numpy(SMPL22.rest_positions) if rest_positions is None else rest_positions
        rest = rest[list(joints)].float()
        above = torch.stack([rest[p] if p >= 0 else torch.zeros(3) for p in self.parents])
        self.register_buffer("offsets", rest - above, persistent=False)
        self.root_weight, self.quantizer_weight = root_weight, quantizer_weight
        self.kinematics_weight = kinematics_weight
        self.hand_weight = (5.0 if part == "upper" else 0.0) if hand_weight is None else hand_weight
        if self.hand_weight and part == "lower":
            raise ValueError("hand_weight: the lower part has no hands")

    def forward(
        self, prediction: Tensor, target: Tensor, quantizer_loss: Tensor, sparse: Tensor | None = None
    ) -> VQLosses:
        """Every term.

        Args:
            prediction: (B, 6 J) 6D of the last frame, not orthonormal.
            target: (B, 6 J).
            quantizer_loss: any shape, averaged.
            sparse: (B, 3, 18) device features of the last frame; needed for the hand term.
        """
        reconstruction = self.root_weight * F.smooth_l1_loss(prediction[:, :6], target[:, :6])
        reconstruction = reconstruction + F.smooth_l1_loss(prediction[:, 6:], target[:, 6:])
        quantizer = quantizer_loss.mean()
        joints = self.joint_positions(prediction)
        with torch.no_grad():
            true_joints = self.joint_positions(target)
        kinematics = F.smooth_l1_loss(joints, true_joints)
        total = reconstruction + self.quantizer_weight * quantizer + self.kinematics_weight * kinematics
        hand = prediction.new_zeros(())
        if self.hand_weight:
            if sparse is None:
                raise ValueError("sparse: the hand term needs the (B, 3, 18) device features")
            hand = self._hand_loss(joints, sparse)
            total = total + self.hand_weight * hand
        return VQLosses(total, reconstruction, quantizer, kinematics, hand)

    def joint_positions(self, sixd: Tensor) -> Tensor:
        """(B, 6 J) to (B, J, 3) metres, the root at its rest position."""
        with torch.autocast(sixd.device.type, enabled=False):
            sixd = sixd.to(self.offsets.dtype).view(len(sixd), len(self.joints), 6)
            return forward_kinematics(self.parents, sixd_columns_to_matrix(sixd), self.offsets)[1]

    def _hand_loss(self, joints: Tensor, sparse: Tensor) -> Tensor:
        observed = sparse[:, :, 12:15]
        head = self.joints.index(HEAD)
        hands = joints[:, [self.joints.index(hand) for hand in HANDS]]
        return F.smooth_l1_loss(hands + (observed[:, :1] - joints[:, head : head + 1]), observed[:, 1:])


def keep_joints(draws: Tensor, ratio: float = 0.5) -> Tensor:
    """(B, J) bool: which joints stay, for uniform draws (B, J): those not below `ratio`, and the root."""
    keep = draws >= ratio
    return torch.cat([torch.ones_like(keep[:, :1]), keep[:, 1:]], dim=1)


def corrupt(motion: Tensor, keep: Tensor, fill: float = 0.01) -> Tensor:
    """Hide joints from the encoder: all 6 values of all frames become `fill`.

    Args:
        motion: (B, T, 6 J).
        keep: (B, J) bool, see `keep_joints`.
        fill: what hidden values are set to.
    """
    mask = keep.repeat_interleave(6, dim=1)[:, None]
    return torch.where(mask, motion, fill)
