"""Which driving person plays which person of the reference (docs/specs/scail_pose.md, section 11, items 1 and 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from contrapposto.errors import InputError
from contrapposto.systems.scail_pose.interface import Person
from contrapposto.systems.scail_pose.people import ClipPoses
from contrapposto.systems.scail_pose.reference import Alignment, AlignOptions, align

_CORE = (1, 2, 4, 5, 7, 8, 12, 15, 16, 17)  # joints without which a frame is a poor one to align in


def match_people(clip: ClipPoses, reference: Sequence[Person]) -> dict[int, Person]:
    """The person of the reference for each driving person who plays one, by id.

    As many driving people as the reference shows are matched from left to right. One person of a reference is matched
    with the driving person who is longest in view.

    Args:
        clip: of the people to draw.
        reference: people of the reference, in the clip's image size.
    """
    ids = clip.ids
    if len(ids) != len(reference):
        count = {i: sum(person.id == i for frame in clip.frames for person in frame) for i in ids}
        ids = sorted(ids, key=lambda i: -count[i])[: len(reference)]
        reference = sorted(reference, key=lambda person: -_area(person))[: len(ids)]
    drivers = sorted((_first_view(clip, i) for i in ids), key=_across)
    return {driver.id: person for driver, person in zip(drivers, sorted(reference, key=_across))}


def align_clip(
    clip: ClipPoses,
    references: Mapping[int, Person],
    options: AlignOptions = AlignOptions(),  # noqa: B008  frozen
) -> tuple[dict[int, Alignment], list[str]]:
    """Alignments by id, and what could not be aligned, in words.

    Each person is aligned in the first frame in which the trunk, legs and head are known, else in the first of all.

    Args:
        clip: of the people to draw.
        references: see `match_people`.
        options: see `align`.
    """
    alignments, words = {}, [] if references else ["there is nobody in the reference: not aligned"]
    for number, character in references.items():
        driver = _first_view(clip, number)
        try:
            alignments[number] = align(driver, character, clip.intrinsics, clip.height, clip.width, options)
        except InputError as error:
            words.append(f"person {number}: {error}")
    return alignments, words


def _first_view(clip: ClipPoses, number: int) -> Person:
    views = [person for frame in clip.frames for person in frame if person.id == number]
    whole = (person for person in views if np.isfinite(person.joints[list(_CORE)]).all())
    return next(whole, views[0])


def _across(person: Person) -> float:
    return float(person.box[0] + person.box[2])


def _area(person: Person) -> float:
    return float(np.maximum(person.box[2:] - person.box[:2], 0).prod())
