"""Work that takes long reports how far it is; short work stays silent."""

from __future__ import annotations

from contrapposto.progress import heard_by, late


def test_short_work_is_silent_and_long_work_is_reported() -> None:
    heard: list[tuple[str, int, int]] = []
    with heard_by(lambda stage, done, total: heard.append((stage, done, total))):
        short, long = late("short", after=1e9), late("long", after=0.0)
        for step in (short, long):
            for done in (1, 2):
                step(done, 2)
    assert heard == [("long", 1, 2), ("long", 2, 2)]
