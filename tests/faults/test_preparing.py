"""What an interrupted preparation left is damaged before it goes on: one clear error that says what to delete."""

import pytest

from benchmarks.faults import seeds
from contrapposto.data.prepare import prepare
from contrapposto.errors import InputError


def test_a_damaged_intermediate_result_is_named(tmp_path):
    raw, store = tmp_path / "raw", tmp_path / "store"
    raw.mkdir()
    seeds.amass(raw)

    def damage(stage: str, done: int, total: int) -> None:
        if stage == "converting" and done == total:
            (clip,) = (tmp_path / "store.partial" / "clips").glob("*.npz")
            clip.write_bytes(clip.read_bytes()[:-40])

    with pytest.raises(InputError, match=r"store\.partial.*cannot be read") as caught:
        prepare("amass", raw=raw, output=store, workers=1, progress=damage)
    assert "delete" in caught.value.fix and not store.exists()
