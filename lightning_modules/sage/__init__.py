"""SAGE: one LightningModule per stage (docs/specs/sage.md, sections 2 and 3)."""

from lightning_modules.sage.decoder import SageDecoderModule
from lightning_modules.sage.diffusion import SageDiffusionModule
from lightning_modules.sage.held_pose import HeldPoseModule
from lightning_modules.sage.refiner import SageRefinerModule
from lightning_modules.sage.sparse_transformer import SparseTransformerModule
from lightning_modules.sage.student import SageStudentModule
from lightning_modules.sage.tracker import TrackerModule
from lightning_modules.sage.vqvae import SageVQVAEModule

__all__ = [
    "HeldPoseModule",
    "SageDecoderModule",
    "SageDiffusionModule",
    "SageRefinerModule",
    "SageStudentModule",
    "SageVQVAEModule",
    "SparseTransformerModule",
    "TrackerModule",
]
