"""PoseGPT: one LightningModule per network (docs/specs/posegpt.md, sections 5 to 7)."""

from lightning_modules.posegpt.classifier import PoseGPTClassifierModule
from lightning_modules.posegpt.gpt import PoseGPTModule
from lightning_modules.posegpt.vqvae import PoseGPTVQVAEModule

__all__ = ["PoseGPTClassifierModule", "PoseGPTModule", "PoseGPTVQVAEModule"]
