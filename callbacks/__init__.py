"""Callbacks of training and evaluation, blind to the system: they know a model by its named outputs only."""

from callbacks.budget import CpuBudget
from callbacks.checkpoint import (
    AtomicCheckpointIO,
    BestCheckpoint,
    ResumeCheckpoint,
    find_resume_checkpoint,
    load_checkpoint,
)
from callbacks.compile import CompileNetworks
from callbacks.ema import EMA
from callbacks.generation import GenerationCallback
from callbacks.guard import FiniteGuard, NotFiniteError
from callbacks.media import MediaCallback
from callbacks.metrics import MetricsCallback, MetricSpec
from callbacks.processes import UnevenEvaluation
from callbacks.progress import ProgressLine
from callbacks.provenance import ProvenanceCallback
from callbacks.seeding import StepSeed
from callbacks.shared import FID, MPJPE

__all__ = [
    "EMA",
    "FID",
    "MPJPE",
    "AtomicCheckpointIO",
    "BestCheckpoint",
    "CompileNetworks",
    "CpuBudget",
    "FiniteGuard",
    "GenerationCallback",
    "MediaCallback",
    "MetricSpec",
    "MetricsCallback",
    "NotFiniteError",
    "ProgressLine",
    "ProvenanceCallback",
    "ResumeCheckpoint",
    "StepSeed",
    "UnevenEvaluation",
    "find_resume_checkpoint",
    "load_checkpoint",
]
