"""Bytes that no reader may trip over, for the tests of this folder."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import strategies as st

DATA = Path(os.environ.get("CONTRAPPOSTO_DATA", Path(__file__).parents[3] / "shared" / "data"))


@st.composite
def mutations(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes with a few of them cut out, repeated, overwritten or replaced by awkward words."""
    words = [
        b"",
        b"-1",
        b"nan",
        b"1e999",
        b"{",
        b"}",
        b"\n",
        b"\xff",
        b"\0",
        b"99999999999",
        b"MOTION",
        b"root",
        b":",
    ]
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        stop = draw(
            st.one_of(st.just(start), st.integers(start, min(start + 80, len(data))), st.just(len(data)))
        )
        data = data[:start] + draw(st.one_of(st.sampled_from(words), st.binary(max_size=6))) + data[stop:]
    return data
