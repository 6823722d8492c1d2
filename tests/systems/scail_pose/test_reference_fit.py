"""People laid over a reference: a camera that is known is found again, for each of several people."""

from dataclasses import replace

import numpy as np
import pytest

from contrapposto.errors import ConfigError, InputError
from contrapposto.systems.scail_pose.camera import default_intrinsics, project, smpl_to_slots
from contrapposto.systems.scail_pose.cropping import reference_warning
from contrapposto.systems.scail_pose.interface import Person
from contrapposto.systems.scail_pose.matching import align_clip, match_people
from contrapposto.systems.scail_pose.people import ClipPoses
from contrapposto.systems.scail_pose.pipeline import ClipDrawer, Look
from contrapposto.systems.scail_pose.reference import AlignOptions, align

HEIGHT, WIDTH = 96, 160
K = default_intrinsics(HEIGHT, WIDTH).astype(np.float64)
STANDING = {
    **{0: (0, 0), 1: (90, 30), 2: (-90, 30), 4: (95, 450), 5: (-95, 450), 7: (100, 850), 8: (-100, 850)},
    **{12: (0, -500), 15: (0, -620), 16: (170, -440), 17: (-170, -440), 18: (200, -160), 19: (-200, -160)},
    **{20: (210, 90), 21: (-210, 90)},
}


def person(number: int, x: float, depth: float = 3500.0, camera: np.ndarray = K) -> Person:
    joints = np.full((24, 3), np.nan)
    for joint, (right, down) in STANDING.items():
        joints[joint] = right + x, down, depth + 40 * np.sin(joint)
    keypoints, scores = np.zeros((134, 2)), np.zeros(134)
    keypoints[:14], scores[:14] = project(smpl_to_slots(joints), camera)[:14, :2], 1
    low, high = keypoints[:14].min(0), keypoints[:14].max(0)
    return Person(number, np.concatenate([low, high]), 0.9, keypoints, scores, joints)


def changed(scale: float, aspect: float, right: float, down: float) -> np.ndarray:
    camera = K.copy()
    camera[[0, 1], [0, 1]] *= [scale, scale * aspect]
    camera[:2, 2] += [right, down]
    return camera


@pytest.mark.parametrize("mode", ["auto", "feet", "body", "both"])
def test_known_camera(mode):
    camera = changed(1.2, 0.9, 9, -5)
    found = align(person(0, 100), person(0, 100, camera=camera), K, HEIGHT, WIDTH, AlignOptions(mode=mode))
    assert np.allclose(found.intrinsics, camera, atol=1e-3)
    assert found.before > 3 > 0.01 > found.after
    assert found.mode == ("feet" if mode == "auto" else mode)


def test_half_body():
    """Only head and shoulders in the reference, twice as large: wider bounds find it."""
    camera = changed(2.5, 1.0, -20, 30)
    reference = person(0, 0, camera=camera)
    scores = reference.scores.copy()
    scores[[3, 4, 6, 7, *range(8, 14)]] = 0
    reference = replace(reference, scores=scores)
    tight = align(person(0, 0), reference, K, HEIGHT, WIDTH)
    wide = align(
        person(0, 0), reference, K, HEIGHT, WIDTH, AlignOptions(scale_bounds=(0.2, 5), aspect_bounds=(1, 1))
    )
    assert tight.mode == wide.mode == "body"
    assert wide.after < 0.1 < tight.after
    assert np.allclose(wide.intrinsics, camera, atol=0.01)
    with pytest.raises(InputError):
        align(person(0, 0), replace(reference, scores=np.zeros(134)), K, HEIGHT, WIDTH)


def test_each_of_two_people_has_a_camera():
    cameras = {4: changed(1.2, 0.9, 9, -5), 2: changed(0.8, 1.1, -6, 3)}
    frames = [[person(2, 500), person(4, -500)]] * 3  # ids do not follow places
    clip = ClipPoses(HEIGHT, WIDTH, 16.0, K, frames)
    reference = [person(0, -500, camera=cameras[4]), person(1, 500, camera=cameras[2])]
    found, words = align_clip(clip, match_people(clip, reference))
    assert not words
    for number, camera in cameras.items():
        assert np.allclose(found[number].intrinsics, camera, atol=1e-3)
    drawer = ClipDrawer(clip, Look(), found, device="cpu")
    drawn = drawer.cylinders(frames[0])
    for number, camera in cameras.items():
        mine = drawn.person == drawer.number[number]
        pixels = project(drawn.start[mine], drawer.intrinsics)[:, :2]
        alone = ClipDrawer(clip.only([number]), Look(), {number: found[number]}, device="cpu")
        capsules = alone.cylinders(frames[0][:1] if number == 2 else frames[0][1:])
        assert np.allclose(pixels, project(capsules.start, camera)[:, :2], atol=1e-2)
        assert np.allclose(drawn.start[mine][:, 2], capsules.start[:, 2])
    assert next(iter(drawer)).rgba.any()


def test_one_character_for_two_people():
    """The one longest in view is aligned; the other follows."""
    both = [person(0, -500), person(1, 500)]
    clip = ClipPoses(HEIGHT, WIDTH, 16.0, K, [both[:1], both, both[1:], both[1:]])
    found, _ = align_clip(clip, match_people(clip, [person(0, 500, camera=changed(1.2, 0.9, 9, -5))]))
    assert list(found) == [1]
    drawer = ClipDrawer(clip, Look(), found, device="cpu")
    assert np.array_equal(drawer.camera_of(both[0]), found[1].intrinsics)
    assert align_clip(clip, {})[0] == {} and "nobody" in align_clip(clip, match_people(clip, []))[1][0]


@pytest.mark.parametrize("options", [{"mode": "hands"}, {"scale_bounds": (0, 1)}, {"aspect_bounds": (2, 1)}])
def test_wrong_options(options):
    with pytest.raises(ConfigError):
        AlignOptions(**options)


@pytest.mark.parametrize(
    ("x", "shape", "told"),
    [(0, (96, 400), False), (2900, (96, 400), True), (2900, (96, 160), False), (2900, (400, 160), False)],
    ids=["in the middle", "cut at the side", "the same shape", "cut above and below"],
)
def test_a_reference_that_is_cut_where_somebody_is(x, shape, told):
    assert bool(reference_warning([person(0, x)], shape, (HEIGHT, WIDTH))) == told
