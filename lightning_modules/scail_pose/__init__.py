"""SCAIL-Pose as Lightning modules: making pose videos, and measuring on scenes whose truth is known."""

from lightning_modules.scail_pose.evaluation import ScailPoseEvaluation
from lightning_modules.scail_pose.prediction import ScailPoseModule

__all__ = ["ScailPoseEvaluation", "ScailPoseModule"]
