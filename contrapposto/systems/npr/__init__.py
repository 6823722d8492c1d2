"""NPR: the pose of one mesh on any other mesh (arXiv 2406.09728)."""

from contrapposto.systems.npr.diffusion import FeatureDiffusion, KeypointDiffusion
from contrapposto.systems.npr.extractor import PoseCode
from contrapposto.systems.npr.generation import PoseGenerator
from contrapposto.systems.npr.model import NPR, tangent_loss, vertex_loss
from contrapposto.systems.npr.njf import NeuralJacobianFields
from contrapposto.systems.npr.refiner import PoseRefiner, RefinementLosses
from contrapposto.systems.npr.residual import ResidualNPR
from contrapposto.systems.npr.transfer import PoseTransfer, SourcePoses

__all__ = [
    "NPR",
    "FeatureDiffusion",
    "KeypointDiffusion",
    "NeuralJacobianFields",
    "PoseCode",
    "PoseGenerator",
    "PoseRefiner",
    "PoseTransfer",
    "RefinementLosses",
    "ResidualNPR",
    "SourcePoses",
    "tangent_loss",
    "vertex_loss",
]
