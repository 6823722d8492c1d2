"""Vocabularies of actions: one editable text file per corpus.

    # comment
    walk
    pick up: take something up, lift something, "lift, then put down"
    dance: dance *

A line is an action and, after a colon, other texts that mean it. A text with commas stands in double quotes; one that
ends with an asterisk means every text that begins with it. The order of the lines is the order of the classes: adding
at the end keeps trained networks usable.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from contrapposto.errors import ConfigError, InputError, MissingError, nearest
from contrapposto.files import atomic_path

FOLDER = Path(__file__).parent / "vocabularies"


class Vocabulary:
    """Actions by number.

    Texts are compared without regard to case, blanks at the ends, and whether words are joined by blanks,
    underscores or hyphens; everything else counts, brackets and slashes included.

    Args:
        names: of the classes.
        synonyms: other texts to names; those with an asterisk at the end are prefixes, the longest of which decides.

    Raises:
        ConfigError: no names, one twice, or a synonym of what is not there.
    """

    def __init__(self, names: Sequence[str], synonyms: Mapping[str, str] | None = None) -> None:
        self.names = tuple(names)
        self._index: dict[str, int] = {}
        self._prefixes: dict[str, int] = {}
        for number, name in enumerate(self.names):
            if not _plain(name) or _plain(name) in self._index:
                raise ConfigError(
                    f"The vocabulary holds {name!r} twice or empty.", expected="different names"
                )
            self._index[_plain(name)] = number
        if not self.names:
            raise ConfigError("A vocabulary without actions is of no use.")
        self.synonyms = dict(synonyms or {})
        for text, name in self.synonyms.items():
            number = self._index.get(_plain(name), -1)
            table, key = (self._prefixes, text[:-1]) if text.endswith("*") else (self._index, text)
            if number < 0 or table.get(_plain(key), number) != number:
                raise ConfigError(f"The vocabulary cannot call {name!r} {text!r} as well.")
            table[_plain(key)] = number

    @classmethod
    def load(cls, source: str | Path) -> Vocabulary:
        """Read a file, or a shipped vocabulary by its name (`babel`, `bandai`, ...).

        Raises:
            MissingError: neither a file nor a shipped name.
            ConfigError, InputError: not a vocabulary.
        """
        path = Path(source)
        if not path.is_file():
            path = FOLDER / f"{source}.txt"
        if not path.is_file():
            shipped = sorted(file.stem for file in FOLDER.glob("*.txt"))
            raise MissingError(
                f"There is no vocabulary {source}.",
                expected=f"a text file, or one of {', '.join(shipped)}",
                fix=f"did you mean {nearest(str(source), shipped)}?",
            )
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} is not a vocabulary.", found=str(error)[:200]) from error
        return cls.of_lines(lines)

    @classmethod
    def of_lines(cls, lines: Iterable[str]) -> Vocabulary:
        """From the lines of a file.

        Raises:
            ConfigError: they contradict themselves.
        """
        names, synonyms = [], {}
        for line in lines:
            name, _, others = line.partition("#")[0].partition(":")
            if name.strip():
                names.append(name.strip())
                texts = next(csv.reader([others], skipinitialspace=True), [])
                synonyms.update({text.strip(): names[-1] for text in texts if text.strip()})
        return cls(names, synonyms)

    @classmethod
    def of_texts(cls, texts: Iterable[str], *, at_least: int = 1) -> Vocabulary:
        """Of what occurs in a corpus at least that often, the commonest first."""
        counts = Counter(" ".join(text.split()) for text in texts if text.strip())
        merged: dict[str, tuple[str, int]] = {}
        for text, count in counts.most_common():
            name, before = merged.get(_plain(text), (text, 0))
            merged[_plain(text)] = (name, before + count)
        ordered = sorted(merged.values(), key=lambda item: (-item[1], item[0]))
        return cls([name for name, count in ordered if count >= at_least])

    def save(self, path: str | Path) -> None:
        """Write it in the format of this module."""
        with atomic_path(path) as temporary:
            temporary.write_text("\n".join(self.lines) + "\n", encoding="utf-8")

    @property
    def lines(self) -> list[str]:
        """What `save` writes and `of_lines` reads."""
        lines = []
        for name in self.names:
            others = [text for text, meant in self.synonyms.items() if _plain(meant) == _plain(name)]
            quoted = [f'"{text}"' if "," in text else text for text in others]
            lines.append(name + (": " + ", ".join(quoted) if quoted else ""))
        return lines

    def mirrored(self) -> list[int]:
        """What every class is in a mirror: itself, or that with left for right; -1 where that is no class."""
        swap = {"left": "right", "right": "left"}
        texts = [" ".join(swap.get(word, word) for word in _plain(name).split()) for name in self.names]
        return [self._index.get(text, -1) for text in texts]

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, text: str) -> bool:
        return self._find(text) is not None

    def _find(self, text: str) -> int | None:
        """Number of the class that a text means, if any."""
        plain = _plain(text)
        if plain in self._index:
            return self._index[plain]
        prefixes = [prefix for prefix in self._prefixes if plain.startswith(prefix)]
        return self._prefixes[max(prefixes, key=len)] if prefixes else None

    def first(self, count: int) -> Vocabulary:
        """The first classes only (BABEL's 60 or 120)."""
        kept = {_plain(name) for name in self.names[:count]}
        return Vocabulary(
            self.names[:count], {text: name for text, name in self.synonyms.items() if _plain(name) in kept}
        )

    def index(self, text: str) -> int:
        """Number of the class that a text means.

        Raises:
            ConfigError: none; all names are listed, the nearest one is offered.
        """
        number = self._find(text)
        if number is None:
            raise ConfigError(
                f"There is no action {text!r}.",
                expected=f"one of the {len(self)} actions of the vocabulary: {', '.join(self.names)}",
                fix=f"did you mean {nearest(text, self.names)}?",
            )
        return number

    def encode(self, texts: Iterable[str]) -> Tensor:
        """(A,) float32 of 0 and 1: the classes that the texts mean; others are left out."""
        hot = torch.zeros(len(self))
        numbers = [self._find(text) for text in texts]
        hot[[number for number in numbers if number is not None]] = 1
        return hot


def _plain(text: str) -> str:
    return " ".join(text.lower().replace("_", " ").replace("-", " ").split())
