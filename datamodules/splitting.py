"""Which clips of a store are for training, validation and testing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contrapposto.data.splits import hash_split, list_lines, match_list
from contrapposto.data.store import MotionStore
from contrapposto.errors import ConfigError, InputError

Lines = str | Sequence[str] | None


@dataclass(frozen=True)
class Split:
    """Numbers of the clips of each part, int64, ascending."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


def split_clips(
    store: MotionStore,
    *,
    test_share: float,
    val_share: float,
    train_list: Lines = None,
    test_list: Lines = None,
    val_list: Lines = None,
    split_by: str = "clip",
    say: bool = False,
) -> Split:
    """Split by lists where they are given, else by the hashes of the clips' names.

    Args:
        store: the clips.
        test_share: of all clips, where there is no list.
        val_share: of the training clips.
        train_list, test_list: files with one clip path per line, or patterns; all other clips where there is no
            training list.
        val_list: likewise, of the validation clips; a share of the training clips where there is none.
        split_by: see `hash_split`; or `given`: the parts that the clips' own metadata name (`split`, as BABEL's labels
            bring them). Where no clip is for testing, as BABEL keeps those labels, the validation part is tested.
        say: print how many lines of the lists have a clip in the store.

    Raises:
        ConfigError: a training list alone.
        InputError: a part is empty.
    """
    if split_by == "given":
        split = _stated_split(store)
    else:
        train, test = _train_and_test(store, test_share, train_list, test_list, split_by, say)
        if val_list:
            val = _listed(store, "val_list", val_list, say)
            split = Split(np.setdiff1d(train, val), val, test)
        else:
            rest, chosen = hash_split([store.clips[i] for i in train], val_share, salt="val", by=split_by)
            split = Split(train[rest], train[chosen], test)
    for part in ("train", "val", "test"):
        if not len(getattr(split, part)):
            raise InputError(
                f"The {part} part of {store.path} is empty.",
                found=f"{len(store)} clips; {len(split.train)}, {len(split.val)} and {len(split.test)} for training, "
                "validation and testing",
                fix="change data.test_share, data.val_share or the lists",
            )
    return split


def _stated_split(store: MotionStore) -> Split:
    parts = np.array([clip.metadata.get("split", "") for clip in store.clips])
    train, val, test = (np.flatnonzero(parts == part) for part in ("train", "val", "test"))
    return Split(train, val, test if len(test) else val)


def _train_and_test(
    store: MotionStore, share: float, train_list: Lines, test_list: Lines, split_by: str, say: bool
) -> tuple[np.ndarray, np.ndarray]:
    if train_list and not test_list:
        raise ConfigError("A list of training clips without one for testing.", fix="give data.test_list")
    if not test_list:
        return hash_split(store.clips, share, salt="test", by=split_by)
    test = _listed(store, "test_list", test_list, say)
    chosen = _listed(store, "train_list", train_list, say) if train_list else np.arange(len(store))
    return np.setdiff1d(chosen, test), test


def _listed(store: MotionStore, name: str, entries: str | Sequence[str], say: bool) -> np.ndarray:
    match = match_list(store.clips, list_lines(entries))
    if match.missing and say:
        print(f"data.{name}: {match.summary()}, not {match.missing[0]}", flush=True)
    return match.indices


def store_provenance(store: MotionStore, split: Split) -> dict[str, object]:
    """Hash, source and licence of the data, for provenance files and checkpoints."""
    origin = {key: _joined(store, split, key) for key in ("source", "licence", "attribution")}
    return {
        **origin,
        "store": store.path.name,
        "content_hash": store.content_hash,
        "clips": {part: len(getattr(split, part)) for part in ("train", "val", "test")},
    }


def _joined(store: MotionStore, split: Split, key: str) -> str:
    """What the training clips say, each text once; the store's own where a clip states nothing."""
    if key == "source":  # of single clips: file names
        return str(store.manifest[key])
    own = [store.clips[index].metadata.get(key) for index in split.train]
    texts = [str(store.manifest[key] if text is None else text) for text in own]
    return "; ".join(text for text in dict.fromkeys(texts) if text)
