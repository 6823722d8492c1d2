"""Callbacks of training and evaluation, blind to the system: they know a model by its named outputs only."""

from callbacks.checkpoint import (
    AtomicCheckpointIO,
    BestCheckpoint,
    ResumeCheckpoint,
    find_resume_checkpoint,
    load_checkpoint,
)
from callbacks.loggers import CSVRunLogger, build_loggers, finish_loggers
from callbacks.metrics import MetricsCallback, MetricSpec
from callbacks.seeding import StepSeed

__all__ = [
    "AtomicCheckpointIO",
    "BestCheckpoint",
    "CSVRunLogger",
    "MetricSpec",
    "MetricsCallback",
    "ResumeCheckpoint",
    "StepSeed",
    "build_loggers",
    "find_resume_checkpoint",
    "finish_loggers",
    "load_checkpoint",
]
