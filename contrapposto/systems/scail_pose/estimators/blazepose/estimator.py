"""Everybody in a video by BlazePose alone: found on tiles now and then, followed from frame to frame between."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from contrapposto.systems.scail_pose.estimators.blazepose.body import (
    BodyDetector,
    BodyLandmarks,
    BodyNetwork,
    everywhere,
    overlap,
    small_tiles,
)
from contrapposto.systems.scail_pose.estimators.blazepose.compare import (
    alike,
    box_of,
    is_of,
    mean_of,
    same_body,
    share_inside,
)
from contrapposto.systems.scail_pose.estimators.blazepose.exposure import brightened
from contrapposto.systems.scail_pose.estimators.blazepose.layout import to_joints, to_keypoints
from contrapposto.systems.scail_pose.estimators.blazepose.networks import Region
from contrapposto.systems.scail_pose.estimators.blazepose.parts import (
    NOSE_TIP,
    FaceNetwork,
    HandNetwork,
    Part,
    at_rest,
    face_region,
    kept,
)
from contrapposto.systems.scail_pose.estimators.blazepose.past import LEAST_SCORE, Past, Track
from contrapposto.systems.scail_pose.estimators.blazepose.watch import Watch
from contrapposto.systems.scail_pose.interface import Person
from contrapposto.systems.scail_pose.tracking import Tracker, sight

_HANDS = ((15, 19, 17), (16, 20, 18))  # wrist, index, little finger: left, right
_CLOSE = 0.05  # overlap of boxes of people who can be taken for each other
_MOST_INSIDE, _SURE = 0.7, 0.7
_UPRIGHT = math.radians(60)
_FINE = 8  # searches on tiles from one with small ones to the next
_AROUND = 1.6  # side of the square about somebody to look for, in sizes of theirs


Parts = tuple[Part | None, Part | None, Part | None]
_NO_PARTS: Parts = (None, None, None)


class BlazePoseEstimator:
    """The embedded estimator.

    Args:
        hands, face: also look for these; without them their scores are 0, and it is faster.
        most: people at a time.
        every: frames from one search on tiles to the next, where something changed since the last. A frame after a cut
            is always searched, and one some time after somebody was lost.
        every_lost: frames from one look at the places where somebody who is lost is expected, or where something moves
            that belongs to nobody known, to the next.
        patience: frames for which somebody who is lost is looked for.
        back: frames into the past in which a newcomer is looked for; everybody is given so many frames late.
        network: file of the network of bodies; None: the one that ships.
        threads: of a network.
    """

    def __init__(
        self,
        *,
        hands: bool = True,
        face: bool = True,
        most: int = 8,
        every: int = 32,
        every_lost: int = 2,
        patience: int = 32,
        back: int = 16,
        network: Path | None = None,
        threads: int = 1,
    ) -> None:
        self.most, self.every, self.every_lost, self.patience = most, every, every_lost, patience
        self.back = back
        self._detector, self._body = BodyDetector(threads=threads), BodyNetwork(network, threads=threads)
        self._hand = HandNetwork(threads=threads) if hands else None
        self._face = FaceNetwork(threads=threads) if face else None

    def people(self, frames: Iterable[np.ndarray], intrinsics: np.ndarray) -> Iterator[list[Person]]:
        """The people of one frame after the other (see `PoseEstimator`); reads on by `back` and one more.

        Hands and faces of a frame are looked at in a thread while the bodies of the next one are.
        """
        known: dict[int, tuple[int, Parts]] = {}

        def finish(number: int, image: np.ndarray, tracks: list[Track]) -> list[Person]:
            for track in tracks:
                last, parts = known.get(track.id, (-1, _NO_PARTS))
                parts = parts if last == number - 1 else _NO_PARTS
                known[track.id] = number, self.look_at_parts(image, track.body, parts)
            return [self._person(image, track, known[track.id][1], intrinsics) for track in tracks]

        with ThreadPoolExecutor(1) as thread:
            coming: Future[list[Person]] | None = None
            for number, (image, tracks) in enumerate(self._bodies(frames)):
                before, coming = coming, thread.submit(finish, number, image, tracks)
                if before is not None:
                    yield before.result()
            if coming is not None:
                yield coming.result()

    def _bodies(self, frames: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, list[Track]]]:
        """Each frame with the bodies in it."""
        tracker, tracks, watch = Tracker(), list[Track](), Watch()
        past = Past(self._body, self.back, self.most)
        self._away: dict[int, Track] = {}
        lost_at = -self.patience
        for number, image in enumerate(map(brightened, frames)):
            if cut := watch.see(image):
                yield from past.empty()
                self._away = {}
            before = len(tracks)
            tracks = [] if cut else self._follow(image, tracks, tracker, number)
            lost_at = number if len(tracks) < before else lost_at
            boxes = [box_of(track.body, image.shape) for track in tracks]
            missing = number - lost_at == self.patience // 2
            if cut or missing or number % self.every == 0:
                regions = everywhere(image)
                if cut or number % (_FINE * self.every) == 0:
                    regions += small_tiles(image)
                regions = regions if missing else watch.changed(regions, boxes)
                tracks = self._join(image, tracks, tracker, number, regions)
            elif number % self.every_lost == 0:
                places = [*tracker.expected(number, self.patience), *watch.strangers(number, boxes)]
                if places:
                    regions = [Region(middle, _AROUND * size) for middle, size in places]
                    tracks = self._join(image, tracks, tracker, number, regions)
            self._away |= {track.id: track for track in tracks}
            yield from past.add(image, tracks)
        yield from past.empty()

    def _follow(self, image: np.ndarray, tracks: list[Track], tracker: Tracker, number: int) -> list[Track]:
        """Those that are still there, and those that were lost and are where they are expected.

        Where people are close to each other, a look meant for one can show another: who is who is decided anew for
        all of them, by motion and clothes. Who fits nobody is hidden, and is looked for again in the next frame.
        """
        away = self._lost(tracks, tracker, number)
        boxes = {track.id: box_of(track.body, image.shape) for track in tracks}
        boxes |= {
            track.id: box_of(track.body, image.shape) + np.tile(tracker.shift(track.id, number), 2)
            for track in away
        }
        crowded = {
            k for k, box in boxes.items() if any(overlap(box, boxes[o]) > _CLOSE for o in boxes if o != k)
        }
        places = {track.id: track.body.region for track in tracks}
        places |= {track.id: _moved(track.body.region, tracker.shift(track.id, number)) for track in away}
        seen = [self._look(image, region, k in crowded) for k, region in places.items()]
        bodies: list[BodyLandmarks] = []
        for body in sorted(seen, key=lambda body: -body.score):
            if body.score >= LEAST_SCORE and not any(same_body(body, other) for other in bodies):
                bodies.append(body)
        sightings = [sight(image, *to_keypoints(body)) for body in bodies]
        numbers = tracker.fit(number, sightings, list(boxes), crowded)
        kept = []
        for person, body, sighting in zip(numbers, bodies, sightings):
            if person >= 0:
                tracker.meet(person, number, sighting, person in crowded)
                kept.append(Track(person, body))
        return sorted(kept, key=lambda track: track.id)

    def _lost(self, tracks: list[Track], tracker: Tracker, number: int) -> list[Track]:
        """Those who were lost in the last frames, as they were seen last."""
        lost = set(tracker.lost(number, self.patience)) - {track.id for track in tracks}
        return [track for person, track in self._away.items() if person in lost]

    def _look(self, image: np.ndarray, region: Region, crowded: bool) -> BodyLandmarks:
        """Look at a region; in a crowd, where a look is less sure, also in a mirror: the mean if both agree."""
        body = self._body(image, region)
        if not crowded or body.score < LEAST_SCORE:
            return body
        again = self._body(image, region, mirrored=True)
        return mean_of(body, again) if again.score >= LEAST_SCORE and same_body(body, again) else body

    def _join(
        self,
        image: np.ndarray,
        tracks: list[Track],
        tracker: Tracker,
        number: int,
        regions: Sequence[Region],
    ) -> list[Track]:
        """With people found in regions.

        While somebody is lost, whoever is close to others and fits nobody known is the one who is lost, or a mixture of
        two, and is left out. Real newcomers are found once they are apart.
        """
        matches = self.search(image, [track.body for track in tracks], regions)
        sightings = [sight(image, *to_keypoints(body)) for body in matches]
        doubted: list[int] = []
        if self._lost(tracks, tracker, number):
            known = [box_of(track.body, image.shape) for track in tracks]
            boxes = [box_of(body, image.shape) for body in matches]
            doubted = [
                row for row, box in enumerate(boxes) if any(overlap(box, one) > _CLOSE for one in known)
            ]
        ids = tracker.number(number, sightings, taken={track.id for track in tracks}, doubted=doubted)
        joined = [Track(person, body) for person, body in zip(ids, matches) if person >= 0]
        return sorted(tracks + joined, key=lambda track: track.id)

    def search(
        self, image: np.ndarray, known: list[BodyLandmarks], regions: Sequence[Region]
    ) -> list[BodyLandmarks]:
        """People in regions that are not known yet, the surest first."""
        matches: list[BodyLandmarks] = []
        for detection in self._detector.detect_in(image, regions):
            others = known + matches
            if len(others) >= self.most:
                break
            if any(is_of(detection, body) for body in others):
                continue
            body = self._body(image, detection.region)
            if body.score < LEAST_SCORE:
                continue
            body = self._body(image, body.region)  # a look from where the person really is
            if body.score < LEAST_SCORE or any(same_body(body, other) for other in others):
                continue
            # Knees and folded arms of a person pass for another one now and then, as clothes on the ground do; not surely.
            inside = max((share_inside(body, other) for other in others), default=0.0)
            likely = inside < _MOST_INSIDE and abs(body.region.angle) < _UPRIGHT
            if likely or detection.score > _SURE:
                again = self._body(image, body.region, mirrored=True)
                # A tree or folded clothes, taken for a person, look different in a mirror.
                if again.score >= LEAST_SCORE and alike(body, again):
                    matches.append(body)
        return matches

    def look_at_parts(self, image: np.ndarray, body: BodyLandmarks, last: Parts = _NO_PARTS) -> Parts:
        """Left hand, right hand and face of a body, given those of the frame before; what rests is not looked at again."""

        def seen(number: int) -> Part | None:
            before = last[number]
            rests = None if before is None else at_rest(before, image)
            if rests is not None:
                return rests
            hand = number < 2
            look = partial(self._look_at_hand, side=number) if hand else self._look_at_face
            part = look(image, body, before)
            return None if part is None else kept(part, image)

        return seen(0), seen(1), seen(2)

    def _look_at_hand(
        self, image: np.ndarray, body: BodyLandmarks, last: Part | None, side: int
    ) -> Part | None:
        if self._hand is None:
            return None
        places = body.pixels[list(_HANDS[side])]
        if body.presence[_HANDS[side][0]] < LEAST_SCORE:
            return None
        length = float(np.linalg.norm(places[1:].mean(axis=0) - places[0]))
        # A hand may be as far from the body network's wrist as the back of a hand is long.
        if last is not None:
            step = places[0] - last.pixels[0]  # an arm may have moved the hand out of where it was
            moved = step if np.linalg.norm(step) > 0.5 * length else 0.0
            hand = self._hand(image, replace(last.region, center=last.region.center + moved))
            if hand.score >= LEAST_SCORE and np.linalg.norm(hand.pixels[0] - places[0]) < length:
                return hand
        hand = self._hand(image, self._hand.find(image, *places))
        near = np.linalg.norm(hand.pixels[0] - places[0]) < 1.5 * length
        return hand if hand.score >= LEAST_SCORE and near else None

    def _look_at_face(self, image: np.ndarray, body: BodyLandmarks, last: Part | None) -> Part | None:
        if self._face is None:
            return None
        nose = body.pixels[0]
        if body.presence[0] < LEAST_SCORE:
            return None
        if last is not None:
            face = self._face(image, _moved(last.region, nose - last.pixels[NOSE_TIP]))
            if face.score >= LEAST_SCORE and _is_nose(face, nose):
                return face
        face = self._face(image, self._face(image, face_region(body.pixels)).region)
        return face if face.score >= LEAST_SCORE and _is_nose(face, nose) else None

    def _person(self, image: np.ndarray, track: Track, parts: Parts, intrinsics: np.ndarray) -> Person:
        points, scores = to_keypoints(track.body, *parts)
        joints = to_joints(track.body, intrinsics)
        return Person(track.id, box_of(track.body, image.shape), track.body.score, points, scores, joints)


def _moved(region: Region, shift: np.ndarray) -> Region:
    return replace(region, center=region.center + shift)


def _is_nose(face: Part, nose: np.ndarray) -> bool:
    """Whether the tip of a face's nose lies where the body's nose is."""
    return bool(np.linalg.norm(face.pixels[NOSE_TIP] - nose) < 0.15 * face.region.side)
