"""NPR: the pose of one mesh on any other mesh (arXiv 2406.09728)."""

from contrapposto.models.npr.diffusion import FeatureDiffusion, KeypointDiffusion
from contrapposto.models.npr.extractor import PoseCode
from contrapposto.models.npr.model import NPR, vertex_loss
from contrapposto.models.npr.njf import NeuralJacobianFields
from contrapposto.models.npr.refiner import PoseRefiner, RefinementLosses
from contrapposto.models.npr.transfer import PoseTransfer, SourcePoses

__all__ = [
    "NPR",
    "FeatureDiffusion",
    "KeypointDiffusion",
    "NeuralJacobianFields",
    "PoseCode",
    "PoseRefiner",
    "PoseTransfer",
    "RefinementLosses",
    "SourcePoses",
    "vertex_loss",
]
