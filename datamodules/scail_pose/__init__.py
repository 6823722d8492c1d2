"""SCAIL-Pose's data: videos, rendered scenes with known joints, and what the lifter learns from."""

from datamodules.scail_pose.lifter import LifterDataModule
from datamodules.scail_pose.scenes import SceneDataModule
from datamodules.scail_pose.videos import VideoDataModule

__all__ = ["LifterDataModule", "SceneDataModule", "VideoDataModule"]
