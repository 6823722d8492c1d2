"""People in the dark."""

import numpy as np
import pytest

from contrapposto.systems.scail_pose.camera import default_intrinsics
from contrapposto.systems.scail_pose.estimators import make_estimator
from contrapposto.systems.scail_pose.estimators.blazepose.exposure import brightened
from contrapposto.systems.scail_pose.extract import read_image
from contrapposto.systems.scail_pose.framing import frame_image


def test_only_dark_images_change():
    day = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    assert brightened(day) is day
    night = (day * 0.05).astype(np.uint8)
    seen = brightened(night)
    assert seen.max() > 150 and np.corrcoef(seen.ravel(), night.ravel())[0, 1] > 0.999
    assert brightened(np.zeros((8, 8, 3), np.uint8)).max() == 0


@pytest.mark.slow
def test_a_person_in_the_dark_is_found(shared_data):
    image = read_image(shared_data / "images" / "tfjs_pose" / "pose.jpg")
    image = frame_image(image, 384, 640, "pad")
    noise = np.random.default_rng(0).normal(0, 1.5, image.shape)
    dark = (image * 0.05 + noise).clip(0, 255).astype(np.uint8)
    estimator = make_estimator("blazepose", hands=False, face=False)
    day, night = (next(estimator.people([one], default_intrinsics(384, 640))) for one in (image, dark))
    assert len(day) == len(night) == 1
    assert np.linalg.norm(day[0].keypoints[:14] - night[0].keypoints[:14], axis=-1).mean() < 8
