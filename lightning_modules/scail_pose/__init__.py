"""SCAIL-Pose: pose videos by `trainer.predict`."""

from lightning_modules.scail_pose.prediction import ScailPoseModule

__all__ = ["ScailPoseModule"]
