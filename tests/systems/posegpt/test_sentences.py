"""Sentences to actions, with a tiny encoder in place of the extra's, and with the extra where it is installed."""

import numpy as np
import pytest

from contrapposto.data.vocabulary import Vocabulary
from contrapposto.errors import ConfigError
from contrapposto.systems.posegpt import generator as generator_module
from contrapposto.systems.posegpt.sentences import available, nearest_actions
from tests.systems.posegpt.test_generator import generator_of

ACTIONS = ["sit down", "walk", "dance"]


def letters(texts):
    """Counts of pairs of letters: near enough for texts that share words."""
    pairs = [{text[i : i + 3] for i in range(len(text))} for text in texts]
    known = sorted(set().union(*pairs))
    return np.array([[float(pair in own) for pair in known] for own in pairs])


def test_the_nearest_action_comes_first():
    matches = nearest_actions("a person does this: dances", ACTIONS, encode=letters)
    assert matches[0].action == "dance" and len(matches) == 3
    assert matches[0].similarity > matches[1].similarity


def test_a_sentence_like_nothing_is_refused_with_all_actions():
    with pytest.raises(ConfigError, match="sit down, walk, dance"):
        nearest_actions("0123456789", ACTIONS, encode=letters)


def test_known_actions_and_single_words_stay(monkeypatch):
    monkeypatch.setattr(generator_module, "available", lambda: True)
    monkeypatch.setattr(generator_module, "nearest_actions", lambda text, names: pytest.fail(text))
    generator = generator_of()
    typed = ["walk", "walk+walk backwards", "a, b", "backflip"]
    assert generator.matched(typed) == (typed, {})
    with pytest.raises(ConfigError, match="communicate"):
        generator.segments(["backflip"], 8)


@pytest.mark.skipif(not available(), reason="the extra `sentences` is not installed")
def test_real_sentences():
    names = Vocabulary.load("free").names
    for sentence, action in (
        ("somebody sits on a chair", "sit down"),
        ("go backwards slowly", "walk backwards"),
        ("a person lifts the right arm", "raise right arm"),
    ):
        assert nearest_actions(sentence, names)[0].action == action
