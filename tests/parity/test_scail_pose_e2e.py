"""SCAIL-Pose: from the estimators' outputs to the finished frames, against the original's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from contrapposto.systems.scail_pose.camera import default_intrinsics
from contrapposto.systems.scail_pose.framing import cover
from contrapposto.systems.scail_pose.interface import Person
from contrapposto.systems.scail_pose.people import ClipPoses
from contrapposto.systems.scail_pose.pipeline import ClipDrawer, Look
from contrapposto.systems.scail_pose.reference import AlignOptions, align
from tests.parity.golden import Case, parity
from tests.parity.test_scail_pose_render import compare

PARTS = ("candidate", "subset", "faces", "hands")


def people_of(case: Case, prefix: str, results: list[np.ndarray]) -> list[Person]:
    """People of a frame with the first result of the 3D estimator in each crop, taken from `results`."""
    kp, score, box = (case.arrays[f"{prefix}_{name}"] for name in ("kp", "score", "box"))
    return [
        Person(number, box[number], 1.0, kp[number], score[number], results.pop(0)[0])
        for number in range(len(kp))
    ]


def without_body(person: Person) -> Person:
    return replace(person, joints=np.full((24, 3), np.nan))


def framed(images: np.ndarray, height: int, width: int) -> np.ndarray:
    planes = torch.from_numpy(images).permute(0, 3, 1, 2)
    return cover(planes, height, width).permute(0, 2, 3, 1).numpy()


@parity("scail_pose_e2e_default", "scail_pose_e2e_align_feet", "scail_pose_e2e_align_upper")
def test_e2e(case: Case) -> None:
    arrays, aligned = case.arrays, case.manifest["config"]["use_align"]
    height, width = arrays["canvas"].shape[1:3]
    for inputs, expected in (("frames", "resized_bgr"), ("ref_image", "ref_resized_bgr")):
        actual = framed(arrays[inputs].reshape(-1, *arrays[inputs].shape[-3:]), height, width)[..., ::-1]
        assert np.abs(actual.astype(int) - arrays[expected]).max() <= 1
    results = [arrays[f"nlf{i}"] for i in range(sum(case.manifest["config"]["nlf_calls"]))]
    frames = [people_of(case, f"f{number}", results) for number in range(len(arrays["video"]))]
    reference = people_of(case, "ref", results)[0]
    intrinsics = default_intrinsics(height, width)
    alignments = {}
    if aligned:
        fit = align(frames[0][0], reference, intrinsics, height, width, AlignOptions(original=True))
        assert fit.after < fit.before
        alignments, shown = {0: fit}, [frame[:1] for frame in frames]
    else:  # everybody's keypoints, the first one's body
        shown = [[frame[0], *map(without_body, frame[1:])] for frame in frames]
    clip = ClipPoses(height, width, 16.0, intrinsics, shown)
    # The first person's palette is the single one, whoever else has keypoints.
    look = Look(stray=True, wrap=True, palettes=ClipDrawer(clip.only([0])).palettes)
    drawer = ClipDrawer(clip, look, alignments, device="cpu")
    camera = drawer.intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]]
    assert np.allclose(camera, arrays["camera"], rtol=1e-2)
    for number, frame in enumerate(drawer):
        # The original pairs hands wrongly where there are two people.
        pose = drawer.keypoints(shown[number])
        two = len(frames[number]) > 1
        if not (two and aligned):
            check_pose(case, f"draw{number}", pose, reorder=two)
            expected = arrays["canvas"][number]
            wrong = (frame.overlay != expected).any(-1).sum()
            assert wrong <= 0.005 * (expected != 0).any(-1).sum()
        assert len(drawer.cylinders(shown[number]).start) == arrays["n_cyl"][number]
        both = (frame.overlay == 0).all(-1) & (arrays["canvas"][number] == 0).all(-1)
        check_picture(frame.rgba * both[..., None], arrays["video"][number] * both[..., None])


def check_pose(case: Case, prefix: str, pose: object, *, reorder: bool) -> None:
    for part in PARTS:
        expected, actual = case.arrays[f"{prefix}_{part}"], getattr(pose, part)
        if part == "hands" and reorder:
            actual = np.concatenate([actual[0::2], actual[1::2]])
        assert actual.shape == expected.shape
        # The original's camera is a numerical optimum: points that follow it differ by a hundredth of a pixel.
        assert np.abs(actual - expected).max() <= 2e-3, (prefix, part)


def check_picture(actual: np.ndarray, expected: np.ndarray) -> None:
    result = compare(actual, expected)
    assert result["mask"] <= max(1, 0.002 * result["hit"]), result
    assert result["mean"] <= 1.8 and result["p95"] <= 3 and result["p99"] <= 4, result
