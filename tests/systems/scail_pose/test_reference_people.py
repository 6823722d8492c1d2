"""The people of a reference: several looks must agree; and people whom a crop cuts."""

import numpy as np
import pytest

from contrapposto.systems.scail_pose.camera import default_intrinsics, project
from contrapposto.systems.scail_pose.cropping import CropWatch, crop_warning
from contrapposto.systems.scail_pose.framing import cut_share, frame_image, frame_transform, target_size
from contrapposto.systems.scail_pose.interface import Person
from contrapposto.systems.scail_pose.reference_people import reference_people

SHAPE = (400, 600)
STANDING = {0: (0, -0.4), 1: (0, -0.3), 2: (-0.1, -0.3), 5: (0.1, -0.3), 8: (-0.06, 0.05), 11: (0.06, 0.05)}
STANDING |= {
    9: (-0.07, 0.25),
    12: (0.07, 0.25),
    10: (-0.07, 0.45),
    13: (0.07, 0.45),
    4: (-0.2, 0),
    7: (0.2, 0),
}


class Sees:
    """Sees coloured squares as people, in some of its looks."""

    def __init__(self, *rules):
        self.rules, self.looks = rules, 0

    def people(self, frames, intrinsics):
        for image in frames:
            self.looks += 1
            found = [
                one for color, rule in self.rules if (one := self.person(image, color, rule, intrinsics))
            ]
            yield found

    def person(self, image, color, rule, intrinsics):
        rows, columns = np.nonzero(np.abs(image.astype(int) - color).max(axis=-1) < 60)
        if len(rows) < 20 or not rule(self.looks, image):
            return None
        low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()])
        points, scores = np.zeros((134, 2), np.float32), np.zeros(134, np.float32)
        for slot, place in STANDING.items():
            points[slot] = (low + high) / 2 + np.array(place) * (high - low)[1]
            scores[slot] = 1
        rays = np.append((points[1] - intrinsics[:2, 2]) / intrinsics[[0, 1], [0, 1]], 1)
        joints = np.full((24, 3), np.nan, np.float32)
        joints[12] = rays * 3000
        return Person(0, np.concatenate([low, high]).astype(np.float32), 0.9, points, scores, joints)


def scene(*squares):
    image = np.full((*SHAPE, 3), 128, np.uint8)
    for color, x in squares:
        image[100:300, x : x + 80] = color
    return image


RED, GREEN = (230, 20, 20), (20, 230, 20)


def always(look, image):
    return True


def test_who_is_seen_again_counts_and_a_tree_does_not():
    image = scene((RED, 100), (GREEN, 400))
    estimator = Sees((RED, always), (GREEN, lambda look, image: look == 1))
    people = reference_people(image, estimator, 256, 448)
    assert len(people) == 1 and abs(float(people[0].box[[0, 2]].mean()) - 140 * 448 / 600) < 2


def test_somebody_whom_the_first_look_misses():
    estimator = Sees((RED, lambda look, image: look not in (1, 2)))
    assert len(reference_people(scene((RED, 100)), estimator, 256, 448)) == 1
    assert reference_people(scene(), estimator, 256, 448) == []


def test_one_person_seen_twice_is_one():
    estimator = Sees((RED, always), (RED, always))
    assert len(reference_people(scene((RED, 100)), estimator, 256, 448)) == 1
    two = reference_people(scene((RED, 100), (GREEN, 400)), Sees((GREEN, always), (RED, always)), 256, 448)
    assert [person.id for person in two] == [0, 1] and two[0].box[0] < two[1].box[0]


@pytest.mark.parametrize("fit", ["cover", "pad"])
def test_keypoints_and_joints_are_those_of_the_output(fit):
    (person,) = reference_people(scene((RED, 250)), Sees((RED, always)), 448, 256, fit)
    scale, shift = frame_transform(*SHAPE, 448, 256, fit)
    np.testing.assert_allclose(person.keypoints[1], np.array([290, 200 - 60]) * scale + shift, atol=1.5)
    place = project(person.joints[12].astype(np.float64), default_intrinsics(448, 256))[:2]
    np.testing.assert_allclose(place, person.keypoints[1], atol=0.01)


@pytest.mark.parametrize("fit", ["cover", "pad"])
@pytest.mark.parametrize("target", [(448, 256), (100, 512), (200, 300)])
def test_the_transform_is_that_of_the_image(fit, target):
    image = np.zeros((*SHAPE, 3), np.uint8)
    image[190:210, 290:310] = 255
    rows, columns = np.nonzero(frame_image(image, *target, fit)[..., 0] > 127)
    scale, shift = frame_transform(*SHAPE, *target, fit)
    np.testing.assert_allclose(
        [columns.mean() + 0.5, rows.mean() + 0.5], np.array([300, 200]) * scale + shift, atol=1
    )


def test_people_whom_the_crop_cuts_are_counted():
    frames = [(n / 10, scene((RED, 4), (GREEN, 260))) for n in range(10)]
    watch = CropWatch(SHAPE, (448, 256), "cover", 10)
    assert len(list(watch.watch(iter(frames)))) == 10
    estimator = Sees((RED, always), (GREEN, always))
    assert watch.most_cut(estimator) == 1 and 1 <= estimator.looks <= 4
    assert "resolution=video" in crop_warning(1)[0] and crop_warning(0) == []
    for target, fit in (((448, 256), "pad"), (SHAPE, "cover")):
        watch = CropWatch(SHAPE, target, fit, 10)
        list(watch.watch(iter(frames)))
        assert watch.most_cut(estimator) == 0


def test_the_size_of_the_video_itself():
    assert target_size(540, 540, "video") == (540, 540) and target_size(1081, 1920, "video") == (1080, 1920)
    assert target_size(9000, 4500, "video") == (4096, 2048) and target_size(1, 1, "video") == (2, 2)
    assert cut_share(540, 540, (896, 512)) == pytest.approx(1 - 512 / 896)
