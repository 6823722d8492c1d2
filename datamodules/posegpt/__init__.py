"""PoseGPT's data: windows of labelled motion."""

from datamodules.posegpt.windows import PoseGPTDataModule

__all__ = ["PoseGPTDataModule"]
