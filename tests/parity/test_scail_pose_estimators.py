"""SCAIL-Pose: the embedded estimator and the crops of the whole-body network, against stored answers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image

from contrapposto.systems.scail_pose.estimators.blazepose.body import BodyDetector, BodyLandmarks, BodyNetwork
from contrapposto.systems.scail_pose.estimators.blazepose.networks import Region
from contrapposto.systems.scail_pose.preprocess import crop_matrix, whole_body_crop
from tests.parity.golden import Case, parity


def _check(case: Case, actual: BodyLandmarks, size: tuple[int, int], *, pixels: float, metres: float) -> None:
    arrays, (height, width) = case.arrays, size
    seen = (arrays["visibility"] > 0.5) & (arrays["xy"] < (width, height)).all(axis=-1)
    assert np.linalg.norm(actual.pixels - arrays["xy"], axis=-1)[seen].max() < pixels
    assert np.linalg.norm(actual.world - arrays["world"], axis=-1)[seen].max() < metres
    assert np.isclose(actual.score, arrays["flag"][0], atol=0.02)


@parity("scail_pose_blazepose_default")
def test_blazepose_default(case: Case, shared_data: Path) -> None:
    arrays = case.arrays
    name = re.search(r"scikit-image (\w+)\(\)", case.manifest["description"])
    assert name, "the manifest names no image"
    image = np.asarray(Image.open(shared_data / f"images/skimage/{name[1]}.png").convert("RGB"))
    detections = BodyDetector().detect(image)
    assert len(detections) == arrays["n_person"][0]
    assert np.isclose(detections[0].score, arrays["score"][0], atol=0.01)
    assert np.abs(detections[0].box - arrays["box"]).max() < 1
    assert np.abs(detections[0].points - arrays["det_kp"]).max() < 1
    assert np.isclose(detections[0].region.side, arrays["roi"][0], rtol=2e-3)
    assert np.isclose(detections[0].region.angle, arrays["roi"][1], atol=0.005)
    network = BodyNetwork()
    same = Region(arrays["det_kp"][0].astype(np.float64), *arrays["roi"].tolist())
    actual = network(image, same)
    _check(case, actual, image.shape[:2], pixels=0.5, metres=0.003)
    assert np.abs(actual.depth - arrays["z"]).max() < 1
    assert np.abs(actual.visibility - arrays["visibility"]).max() < 0.01
    assert np.abs(actual.presence - arrays["presence"]).max() < 0.01
    # A square that differs by half a pixel of 1280 moves the hidden hands by this much: most of it is not in the image.
    _check(case, network(image, detections[0].region), image.shape[:2], pixels=20, metres=0.08)


@parity("scail_pose_pose_preproc")
def test_pose_preproc(case: Case) -> None:
    arrays = case.arrays
    size = tuple(case.manifest["config"]["model_input_size_wh"])
    image, whole = arrays["img"], np.array([0, 0, arrays["img"].shape[1], arrays["img"].shape[0]], np.float32)
    for row, box in enumerate(arrays["boxes"]):
        seen, center, scale = whole_body_crop(image, box, size)
        assert np.abs(seen - arrays["crops"][row]).max() < 2 / 58
        assert np.allclose(center, arrays["centers"][row], rtol=1e-4)
        assert np.allclose(scale, arrays["scales"][row], rtol=1e-4)
        assert np.allclose(crop_matrix(center, scale, size), arrays["warp"][row], atol=1e-3)
        back = crop_matrix(center, scale, size, degrees=30, inverse=True)
        assert np.allclose(back, arrays["warp_inv_rot30"][row], atol=1e-3)
    seen, center, scale = whole_body_crop(image, whole, size)
    assert np.abs(seen - arrays["nobox_crop"][0]).max() < 2 / 58
    assert np.allclose(center, arrays["nobox_center"][0]) and np.allclose(scale, arrays["nobox_scale"][0])
