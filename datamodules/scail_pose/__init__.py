"""SCAIL-Pose's data: videos, rendered scenes with known joints, what the lifter and the figure network learn from."""

from datamodules.scail_pose.figures import FigureDataModule
from datamodules.scail_pose.lifter import LifterDataModule
from datamodules.scail_pose.scenes import SceneDataModule
from datamodules.scail_pose.videos import VideoDataModule

__all__ = ["FigureDataModule", "LifterDataModule", "SceneDataModule", "VideoDataModule"]
