"""Vocabularies: synonyms with commas, prefixes, the shipped ones."""

import pytest

from contrapposto.data.vocabulary import Vocabulary
from contrapposto.errors import ConfigError

LINES = ['jump: jumping, "jump up and down, hop"', "dance: dance*, salsa dance", "dance short", "climb"]


def test_synonyms_with_commas_and_prefixes():
    words = Vocabulary.of_lines(LINES)
    for text, name in {
        "Jump_up-and down, hop": "jump",
        "dance - fold in from side arabesque": "dance",
        "dance": "dance",
        "dance short": "dance short",
        "salsa dance": "dance",
    }.items():
        assert text in words and words.names[words.index(text)] == name
    assert "jump up and down" not in words and "a dance" not in words
    assert words.encode(["dance b", "climb", "unknown"]).tolist() == [0, 1, 0, 1]


def test_lines_are_read_back():
    words = Vocabulary.of_lines(LINES)
    again = Vocabulary.of_lines(words.lines)
    assert again.names == words.names and again.lines == words.lines
    assert "dance b" in again and "jump up and down, hop" in again


def test_an_unknown_action_lists_all_of_them():
    with pytest.raises(ConfigError) as error:
        Vocabulary.of_lines(LINES).index("backflip")
    assert all(name in str(error.value) for name in ("jump", "dance", "dance short", "climb"))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("squat1 reps", "squat"),
        ("dance - attitude/arabesque, jete en tourant, bending back", "dance"),
        ("dance short", "dance short"),
        ("playground - climb, hang, swing", "climb"),
        ("walk, exaggerated stride", "walk"),
        ("lie down floor", "lie down"),
        ("JumpJack", "jumping jack"),
    ],
)
def test_open_knows_the_texts_of_cmu_and_hdm05(text, name):
    words = Vocabulary.load("open")
    assert words.names[words.index(text)] == name


def test_free_contains_all_of_demo():
    assert set(Vocabulary.load("demo").names) <= set(Vocabulary.load("free").names)
