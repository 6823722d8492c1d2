"""The last frames, in which newcomers are followed backwards: who comes in is seen late, and was there before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from contrapposto.systems.scail_pose.estimators.blazepose.body import BodyLandmarks
from contrapposto.systems.scail_pose.estimators.blazepose.compare import same_body
from contrapposto.systems.scail_pose.estimators.blazepose.networks import Region

LEAST_SCORE = 0.5


@dataclass(frozen=True)
class Track:
    """A person that is being followed."""

    id: int
    body: BodyLandmarks


Frame = tuple[np.ndarray, list[Track]]
"""An image (H, W, 3) uint8 and the people in it."""


class Past:
    """Frames that are held back.

    Args:
        look: at a region of an image.
        length: frames.
        most: people at a time.
    """

    def __init__(self, look: Callable[[np.ndarray, Region], BodyLandmarks], length: int, most: int) -> None:
        self._look, self._length, self._most = look, length, most
        self._frames: deque[Frame] = deque()

    def add(self, image: np.ndarray, tracks: list[Track]) -> Iterator[Frame]:
        """Take the next frame, and give those that are old enough."""
        known = {track.id for _, before in self._frames for track in before}
        for newcomer in tracks:
            if newcomer.id not in known:
                self._follow(newcomer)
        self._frames.append((image, list(tracks)))
        while len(self._frames) > self._length:
            yield self._frames.popleft()

    def empty(self) -> Iterator[Frame]:
        """Give all of them: the clip ends, or another one begins."""
        while self._frames:
            yield self._frames.popleft()

    def _follow(self, newcomer: Track) -> None:
        """From the last frame backwards, as long as nobody else is seen there and there is room."""
        body = newcomer.body
        for image, tracks in reversed(self._frames):
            body = self._look(image, body.region)
            taken = any(same_body(body, track.body) for track in tracks)
            if taken or body.score < LEAST_SCORE or len(tracks) >= self._most:
                return
            tracks.append(Track(newcomer.id, body))
            tracks.sort(key=lambda track: track.id)
