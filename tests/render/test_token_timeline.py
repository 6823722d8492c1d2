"""Tokens along time: cells of one code have one colour, motions and times are where they should be."""

import numpy as np
import pytest

from contrapposto.errors import InputError
from contrapposto.motion import Label
from contrapposto.render.token_timeline import draw_token_timeline, render_token_timeline


def test_cells_show_codes_and_their_place():
    tokens = np.array([[[5, 9], [5, 300], [7, 9], [-1, -1]]])
    image = draw_token_timeline(tokens, 2.0, width=600, titles=["one"])
    first, second = image[38], image[38 + 16]  # a row of each book
    edges = 150 + np.round(np.arange(5) * (600 - 170) / 4).astype(int)
    middle = (edges[:-1] + edges[1:]) // 2
    assert (first[middle[0]] == first[middle[1]]).all() and (first[middle[0]] != first[middle[2]]).any()
    assert (second[middle[0]] == second[middle[2]]).all() and (second[middle[0]] != second[middle[1]]).any()
    assert (first[middle[3]] == (238, 240, 243)).all(), "no code, no colour"
    labelled = draw_token_timeline(tokens, 2.0, width=600, labels=[Label("walk", 1.0, 2.0)])
    changed = (labelled != draw_token_timeline(tokens, 2.0, width=600)).any((0, 2)).nonzero()[0]
    assert edges[2] - 1 <= changed.min() and changed.max() <= edges[4]


def test_what_cannot_be_drawn_is_refused(tmp_path):
    for tokens, seconds in (
        (np.zeros((0, 4, 2)), 1),
        (np.zeros((1, 4, 2), int), 0),
        (np.zeros((65, 4, 2)), 1),
    ):
        with pytest.raises(InputError):
            render_token_timeline(tmp_path / "x.png", tokens, seconds)
    assert not list(tmp_path.iterdir())
