"""Estimators: who is in a video, where, and how they stand."""

from contrapposto.systems.scail_pose.estimators.choice import make_estimator
from contrapposto.systems.scail_pose.interface import (
    Body3D,
    Person,
    PersonDetector,
    PoseEstimator,
    WholeBody2D,
)

__all__ = ["Body3D", "Person", "PersonDetector", "PoseEstimator", "WholeBody2D", "make_estimator"]
