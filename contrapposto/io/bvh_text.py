"""The text of a BVH file into a tree of joints and a table of numbers; no recursion, so no depth is too deep for it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from contrapposto.checks import note, shorten
from contrapposto.errors import InputError
from contrapposto.progress import late

_AT_ONCE = 1_000_000  # numbers between two reports of progress
MAX_JOINTS = 4096
"""No figure has more; a file that has is damaged or hostile."""

_SLOWEST = 1.0  # seconds between frames; what is larger is milliseconds, or a rate
_CHANNEL = re.compile(r"([XYZ])(position|rotation)", re.IGNORECASE)
_MOTION = re.compile(r"^\s*MOTION\b", re.MULTILINE | re.IGNORECASE)
_FRAMES = re.compile(r"\s*Frames\s*:\s*(\S+)[^\n]*\n?", re.IGNORECASE)
_FRAME_TIME = re.compile(r"\s*Frame\s*Time\s*:\s*(\S+)[^\n]*\n?", re.IGNORECASE)


@dataclass(frozen=True)
class Joint:
    """A joint or end site: `offset` (3,) in file units, `channels` in file order, `first` its first column."""

    name: str
    parent: int
    offset: np.ndarray
    channels: tuple[str, ...]
    first: int


@dataclass(frozen=True)
class Tree:
    """The hierarchy: joints and end sites, parents first, and the number of columns of the motion table."""

    joints: tuple[Joint, ...]
    num_channels: int


def parse_bvh(text: str, fps: float | None = None) -> tuple[Tree, np.ndarray, float]:
    """Return the tree, the (F, num_channels) float64 channel values and the frame rate (`fps` where it is known).

    Raises:
        InputError: the text is not a whole BVH file with finite numbers.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    matches = _MOTION.search(text)
    if not re.match(r"\s*HIERARCHY\b", text, re.IGNORECASE) or matches is None:
        raise InputError(
            "This is not a whole BVH file.",
            found="no MOTION section" if matches is None else f"a beginning of {shorten(text[:40])}",
            expected="HIERARCHY ... MOTION ...",
            fix="copy or download the file again",
        )
    tree = _Hierarchy(text[: matches.start()]).tree()
    body = text[matches.end() :]
    frames, body = _field(body, _FRAMES, "Frames")
    frame_time, body = _field(body, _FRAME_TIME, "Frame Time")
    count = _count(frames)
    rate = _frame_rate(frame_time) if fps is None else fps
    return tree, _table(body, count, tree.num_channels), rate


class _Hierarchy:
    """Reads the HIERARCHY section token by token."""

    def __init__(self, text: str) -> None:
        self._tokens = text.replace("{", " { ").replace("}", " } ").split()[1:]
        self._at = 0
        self._names: list[str] = []
        self._parents: list[int] = []
        self._offsets: list[np.ndarray | None] = []
        self._channels: list[tuple[str, ...] | None] = []
        self._open: list[int] = []

    def tree(self) -> Tree:
        while self._at < len(self._tokens):
            word = self._next().upper()
            if word in ("ROOT", "JOINT"):
                self._start(word, self._words_until_brace())
            elif word in ("END", "ENDSITE", "END_SITE"):
                self._words_until_brace(named=False)
                if not self._open:
                    raise InputError("An End Site stands outside the root.")
                self._start("END", f"{self._names[self._open[-1]]}_end")
            elif word == "OFFSET":
                self._offsets[self._current("OFFSET")] = self._numbers3()
            elif word == "CHANNELS":
                self._channels[self._current("CHANNELS")] = self._channel_names()
            elif word == "}":
                self._close()
            else:
                raise InputError(f"The word {shorten(word)} is not part of a BVH hierarchy.")
        if self._open or not self._names:
            what = "The hierarchy ends inside a joint." if self._open else "The hierarchy has no joints."
            raise InputError(
                what, found=f"{len(self._open)} braces open", fix="copy or download the file again"
            )
        return self._finish()

    def _finish(self) -> Tree:
        joints, first = [], 0
        for name, parent, offset, channels in zip(self._names, self._parents, self._offsets, self._channels):
            if offset is None:
                raise InputError(f"Joint {shorten(name)} has no OFFSET.")
            joints.append(Joint(name, parent, offset, channels or (), first))
            first += len(channels or ())
        if first == 0:
            raise InputError("No joint has channels, so there is no motion.")
        return Tree(tuple(joints), first)

    def _start(self, word: str, name: str) -> None:
        if (word == "ROOT") == bool(self._open) or (word == "ROOT" and self._names):
            raise InputError(
                f"{word} {shorten(name)} stands in a wrong place.", expected="one ROOT that holds all joints"
            )
        if len(self._names) >= MAX_JOINTS:
            raise InputError("The hierarchy has too many joints.", expected=f"at most {MAX_JOINTS}")
        self._names.append(name)
        self._parents.append(self._open[-1] if self._open else -1)
        self._offsets.append(None)
        self._channels.append(() if word == "END" else None)
        self._open.append(len(self._names) - 1)

    def _close(self) -> None:
        if not self._open:
            raise InputError("The hierarchy closes a brace that was never opened.")
        self._open.pop()

    def _current(self, word: str) -> int:
        """The open joint, which must not have this property yet."""
        if not self._open:
            raise InputError(f"{word} stands outside a joint.")
        joint = self._open[-1]
        if (self._offsets if word == "OFFSET" else self._channels)[joint] is not None:
            raise InputError(f"Joint {shorten(self._names[joint])} has no place for another {word}.")
        return joint

    def _next(self) -> str:
        if self._at >= len(self._tokens):
            raise InputError("The hierarchy breaks off.", fix="copy or download the file again")
        self._at += 1
        return self._tokens[self._at - 1]

    def _words_until_brace(self, named: bool = True) -> str:
        """A name, which may hold spaces; the opening brace is taken too."""
        words = []
        while (word := self._next()) != "{":
            words.append(word)
            if len(words) > 16:
                raise InputError(f"After {shorten(' '.join(words))} an opening brace is missing.")
        if named and not words:
            raise InputError("A joint has no name.")
        return " ".join(words)

    def _numbers3(self) -> np.ndarray:
        words = [self._next() for _ in range(3)]
        try:
            values = np.array([float(word) for word in words])
        except ValueError:
            values = np.full(3, np.nan)
        if not (np.abs(values) < 1e9).all():
            raise InputError(f"An OFFSET is {shorten(' '.join(words))}.", expected="three finite numbers")
        return values

    def _channel_names(self) -> tuple[str, ...]:
        word = self._next()
        if not re.fullmatch(r"[0-6]", word):
            raise InputError(f"CHANNELS {shorten(word)}", expected="a number from 0 to 6")
        names = []
        for _ in range(int(word)):
            match = _CHANNEL.fullmatch(channel := self._next())
            if match is None:
                raise InputError(f"{shorten(channel)} is not a channel.", expected="Xposition ... Zrotation")
            names.append(match[1].upper() + match[2].lower())
        angles = "".join(name[0] for name in names if name.endswith("rotation"))
        if len(set(names)) != len(names):
            raise InputError(f"A joint names a channel twice: {' '.join(names)} ({angles}).")
        return tuple(names)


def _field(text: str, pattern: re.Pattern[str], name: str) -> tuple[str, str]:
    match = pattern.match(text)
    if match is None:
        raise InputError(f"'{name}:' is missing after MOTION.", found=shorten(text[:40]))
    return match[1], text[match.end() :]


def _count(word: str) -> int:
    if not re.fullmatch(r"\d{1,12}", word, re.ASCII) or int(word) == 0:
        raise InputError(f"The number of frames is {shorten(word)}.", expected="a positive whole number")
    return int(word)


def _frame_rate(word: str) -> float:
    """Frames per second; the whole number if exactly one fits the digits that are written (0.0333333 is 30)."""
    try:
        seconds = float(word)
    except ValueError:
        seconds = float("nan")
    if not 1e-5 <= seconds <= _SLOWEST:
        raise InputError(
            f"The frame time is {shorten(word)}.",
            expected=f"seconds between frames, positive and at most {_SLOWEST:g}",
            fix="state frames per second: fps=30, or correct the line 'Frame Time:' in the file",
        )
    rate = 1 / seconds
    digits = re.fullmatch(r"\d*\.(\d+)", word, re.ASCII)
    unit = 10.0 ** -len(digits[1]) if digits else 0.0
    low, high = 1 / (seconds + unit), 1 / (seconds - unit) if seconds > unit else np.inf
    whole = round(rate)
    if low <= whole <= high and not (low <= whole - 1 or whole + 1 <= high):
        return float(whole)
    return rate


def _table(text: str, stated: int, columns: int) -> np.ndarray:
    """(F, columns) values; all rows that are there count, also where the file states fewer."""
    words = text.split()
    if len(words) != stated * columns:
        _check_rows(text, len(words), stated, columns)
    frames = len(words) // columns
    try:
        values = _floats(words).reshape(frames, columns)
    except ValueError as error:
        row = next(number for number, word in enumerate(words) if not _is_number(word)) // columns + 1
        raise InputError(
            f"Row {row} of the motion table holds something that is no number.", found=str(error)[:120]
        ) from error
    bad = ~(np.abs(values) < 1e9).all(axis=1)  # also catches NaN
    if bad.any():
        raise InputError(
            "The motion table has values that are not finite.",
            found=f"{int(bad.sum())} of {frames} rows, the first is row {int(bad.argmax()) + 1}",
            fix="repair or cut these frames",
        )
    return values


def _floats(words: list[str]) -> np.ndarray:
    values, step = np.empty(len(words)), late("reading motion, numbers")
    for start in range(0, len(words), _AT_ONCE):
        some = words[start : start + _AT_ONCE]
        values[start : start + len(some)] = np.fromiter(map(float, some), np.float64, len(some))
        step(start + len(some), len(words))
    return values


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _check_rows(text: str, count: int, stated: int, columns: int) -> None:
    """Accept more rows than stated, if all are whole (some recorders write so); warn of them."""
    rows = [len(line.split()) for line in text.splitlines() if line.strip()]
    odd = next((number for number, length in enumerate(rows, 1) if length != columns), None)
    if odd is None and len(rows) > stated:
        note(f"the line Frames: states {stated}, but there are {len(rows)} rows: all of them are read")
        return
    where = f"{len(rows)} rows, {count} values"
    if odd is not None:
        where += f"; row {odd} has {rows[odd - 1]}"
    raise InputError(
        "The motion table does not fit its description.",
        found=where,
        expected=f"{stated} rows of {columns} values",
        fix="the file is truncated or a channel is missing: download it again, or correct the line 'Frames:'",
    )
