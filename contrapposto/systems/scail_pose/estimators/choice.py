"""The estimator that a configuration asks for."""

from __future__ import annotations

import logging
from pathlib import Path

from contrapposto.devices import Device, find_device
from contrapposto.errors import ConfigError, MissingError, nearest
from contrapposto.systems.scail_pose.estimators.blazepose.estimator import BlazePoseEstimator
from contrapposto.systems.scail_pose.estimators.blazepose.roles import (
    BlazePoseBody,
    BlazePoseDetector,
    BlazePoseKeypoints,
)
from contrapposto.systems.scail_pose.estimators.composed import ComposedEstimator
from contrapposto.systems.scail_pose.estimators.files import DwposeKeypoints, NlfBody, YoloxDetector
from contrapposto.systems.scail_pose.estimators.lifted import LiftedEstimator, LifterBody
from contrapposto.systems.scail_pose.interface import (
    Body3D,
    PersonDetector,
    PoseEstimator,
    WholeBody2D,
)
from contrapposto.systems.scail_pose.weights import ORIGINAL, model_path
from contrapposto.threads import network_threads

ESTIMATORS = ("auto", "blazepose", "files")
_LOG = logging.getLogger(__name__)


def make_estimator(
    estimator: str = "auto",
    *,
    detector: str = "blazepose",
    whole_body: str = "blazepose",
    body: str | Body3D = "blazepose",
    lifter: str | Path | None = None,
    weights: str | Path = "pretrained_weights",
    hands: bool = True,
    face: bool = True,
    most: int = 8,
    every: int = 32,
    network: str = "full",
    threads: int | None = None,
    masked: bool = False,
    device: Device = None,
) -> PoseEstimator:
    """Put an estimator together.

    Args:
        estimator: `files` takes YOLOX, DWPose and NLF from the folder `weights`; `auto` does so if all three are
            there, and otherwise takes what the roles say; `blazepose` takes what the roles say.
        detector: `blazepose` or `yolox`.
        whole_body: `blazepose` or `dwpose`.
        body: `blazepose`, `nlf`, or an object that finds joints.
        lifter: file of an exported lifter, or a checkpoint of one, which finds the joints in place of `body`.
        weights: folder of the user's files, laid out as the original's.
        hands, face, every: see `BlazePoseEstimator`.
        most: people at a time.
        network: of bodies that BlazePose follows: `full`, which ships, or `heavy`, a file in the folder `weights`.
        threads: of a network; None: see `contrapposto.threads.network_threads`.
        masked: see `NlfBody`.
        device: of NLF and a lifter that is not exported, see `contrapposto.devices.find_device`. The networks that ship
            run on the CPU.

    Raises:
        ConfigError: a name that there is not.
        MissingError: a file or a package that is needed.
    """
    for name, value, choices in (
        ("estimator", estimator, ESTIMATORS),
        ("detector", detector, ("blazepose", "yolox")),
        ("whole_body", whole_body, ("blazepose", "dwpose")),
        ("network", network, ("full", "heavy")),
        ("body", body if isinstance(body, str) else "nlf", ("blazepose", "nlf")),
    ):
        if value not in choices:
            raise ConfigError(f"{name}={value} is not known.", expected=nearest(value, choices))
    threads = network_threads() if threads is None else threads
    if lifter is not None:
        body = LifterBody.from_pretrained(lifter, threads=threads, device=device)
    if estimator == "files" or (estimator == "auto" and _all_there(weights)):
        detector, whole_body, body = "yolox", "dwpose", "nlf" if body == "blazepose" else body
    if (detector, whole_body) == ("blazepose", "blazepose") and (
        body == "blazepose" or isinstance(body, LifterBody)
    ):
        heavy = model_path("blazepose_heavy", weights) if network == "heavy" else None
        followed = BlazePoseEstimator(
            hands=hands, face=face, most=most, every=every, network=heavy, threads=threads
        )
        return LiftedEstimator(followed, body) if isinstance(body, LifterBody) else followed
    people: PersonDetector = (
        YoloxDetector(model_path("yolox", weights), threads=threads)
        if detector == "yolox"
        else BlazePoseDetector(most=most, threads=threads)
    )
    points: WholeBody2D = (
        DwposeKeypoints(model_path("dwpose", weights), threads=threads)
        if whole_body == "dwpose"
        else BlazePoseKeypoints(hands=hands, face=face, threads=threads)
    )
    if body == "nlf":
        body = NlfBody(model_path("nlf", weights), masked=masked, device=find_device(device))
    joints = BlazePoseBody(threads=threads) if isinstance(body, str) else body
    return ComposedEstimator(people, points, joints, most=most)


def _all_there(weights: str | Path) -> bool:
    """Whether all three files are; a message for each that is not, if some are."""
    missing = []
    for name in ORIGINAL:
        try:
            model_path(name, weights)
        except MissingError as error:
            missing.append(str(error))
    if 0 < len(missing) < len(ORIGINAL):
        _LOG.warning("BlazePose is used instead.\n%s", "\n".join(missing))
    return not missing
