"""NPR: one LightningModule per network (docs/specs/npr.md, sections 6, 8 and 9)."""

from lightning_modules.npr.autoencoder import NJFModule, NPRModule, NPRResidualModule
from lightning_modules.npr.diffusion import NPRFeatureDiffusionModule, NPRKeypointDiffusionModule
from lightning_modules.npr.pose_space import NPRResidualDiffusionModule
from lightning_modules.npr.refiner import NPRRefinerModule

__all__ = [
    "NJFModule",
    "NPRFeatureDiffusionModule",
    "NPRKeypointDiffusionModule",
    "NPRModule",
    "NPRRefinerModule",
    "NPRResidualDiffusionModule",
    "NPRResidualModule",
]
