"""Labelled stretches of clips and their windows, against slicing by hand."""

import numpy as np
import pytest

from contrapposto.data.segments import (
    SegmentReader,
    clip_segments,
    frame_actions,
    label_segments,
    open_vocabulary,
)
from contrapposto.data.store import ClipRecord
from contrapposto.data.vocabulary import Vocabulary
from contrapposto.errors import InputError
from contrapposto.motion import Label

WORDS = Vocabulary(["walk", "run", "sit down"], {"jog": "run"})


def record(*labels, frames=120):
    return ClipRecord("a", "0" * 64, frames, 30.0, labels=tuple(Label(*label) for label in labels))


def test_labels_become_segments_whatever_their_times():
    clips = [
        record(
            ("walk", 0.0, 2.0),
            ("jog", 1.0, 9.0),  # overlaps, ends behind the clip
            ("sit_down", -1.0, 1.0),  # begins before it
            ("walk", 1.0, 9.0),  # the same span as the second
            ("fly", 0.0, 2.0),
            ("run", 3.0, 3.2),
        ),
        record(),
    ]
    actual = label_segments(clips, np.array([120, 120]), WORDS, fps=30, min_frames=16)
    rows = {
        (int(s), int(n)): hot.nonzero()[0].tolist()
        for s, n, hot in zip(actual.starts, actual.frames, actual.actions)
    }
    assert rows == {(0, 61): [0], (30, 90): [0, 1], (0, 31): [2]}
    assert actual.problems == {
        "texts that are no action of the vocabulary": 1,
        "labels of less than 16 frames": 1,
    }
    assert set(actual.clips) == {0}
    whole = clip_segments(clips, np.array([120, 10]), WORDS)
    assert whole.frames.tolist() == [120] and whole.actions.tolist() == [[True, True, True]]


def test_actions_of_frames_against_asking_every_label():
    clip = record(("walk", 0.0, 2.0), ("run", 1.5, 3.0), ("sit down", -2.0, 0.5))
    actual = frame_actions(clip, WORDS, 10, 90, fps=30)
    for row, hot in enumerate(actual):
        time = row + 10
        expected = [int(one.start * 30) <= time <= int(one.end * 30) for one in clip.labels]
        assert hot.tolist() == expected


def test_windows_stay_inside_their_segment_and_repeat_its_last_frame():
    pose = np.arange(240, dtype=np.float32)[:, None].repeat(6, 1)
    clips = [record(("walk", 0.0, 1.0)), record(("run", 1.0, 3.5))]
    segments = label_segments(clips, np.array([120, 120]), WORDS, fps=30)
    reader = SegmentReader(pose, np.array([120, 120]), segments, window=40)
    assert reader.lengths.tolist() == [40, 76]
    actual = reader.read(np.array([0, 1, 1]), np.array([0, 0, 36]), 40)
    assert actual["pose"][0, :, 0].tolist() == [*range(31), *[30] * 9]
    assert actual["valid"].sum(1).tolist() == [31, 40, 40]
    assert actual["pose"][1, :, 0].tolist() == list(range(150, 190))
    assert actual["pose"][2, -1, 0] == 225
    assert len(set(actual["window_ids"].tolist())) == 3


def test_vocabulary_of_a_store(stores):
    created = open_vocabulary("auto", stores / "tiny")
    assert created.names == ("run", "squat", "walk", "wave both hands")
    with pytest.raises(InputError, match="no labelled motion"):
        open_vocabulary("auto", stores / "tiny", at_least=1000)


def test_classes_in_a_mirror():
    words = Vocabulary(["walk", "wave left hand", "wave right-hand", "kick left"])
    assert words.mirrored() == [0, 2, 1, -1]
    assert Vocabulary.of_lines(WORDS.lines).index("jog") == 1
    assert -1 not in Vocabulary.load("open").mirrored() + Vocabulary.load("demo").mirrored()
