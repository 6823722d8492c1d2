"""Command lines of the originals: options, their values, and what becomes of each."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from contrapposto.errors import ConfigError

MANY = -1


@dataclass(frozen=True)
class Option:
    """An option of an original command.

    Args:
        ours: our words for it, with `{}` for the value; several words are separated by blanks. Empty: no counterpart,
            or the command itself uses the value.
        why: the reason if there is no counterpart, or what differs.
        count: values that follow it: 0 for a flag, `MANY` for any number.
        used: the command's own function uses the value.
        turn: changes the value before it is inserted.
    """

    ours: str = ""
    why: str = ""
    count: int = 1
    used: bool = False
    turn: Callable[[str], str] | None = None

    def words(self, values: Sequence[str]) -> list[str]:
        """Our words for the values."""
        value = values[0] if len(values) == 1 else f"[{','.join(values)}]"
        value = self.turn(value) if self.turn else value
        return [word.replace("{}", value) for word in self.ours.split()]


@dataclass(frozen=True)
class Arguments:
    """Options and words of a command line.

    Args:
        options: values by option, without dashes, in the order of the line.
        positional: words that belong to no option.
        unknown: options that the command does not have.
    """

    options: Mapping[str, list[str]]
    positional: list[str] = field(default_factory=list)
    unknown: tuple[str, ...] = ()

    @classmethod
    def parse(cls, words: Sequence[str], known: Mapping[str, Option]) -> Arguments:
        """Read `--name value`, `--name=value`, `-name value` and flags; dashes and underscores are the same."""
        options: dict[str, list[str]] = {}
        positional: list[str] = []
        unknown: list[str] = []
        current, room = "", 0
        names = {_plain(name): name for name in known}
        for word in words:
            if word.startswith("-") and not _is_number(word):
                written, equals, value = word.lstrip("-").partition("=")
                name = names.get(_plain(written), "")
                if name:
                    options[name] = [value] if equals else []
                    room = 0 if equals else known[name].count
                else:
                    unknown.append(word)
                    room = 0 if equals else 1  # its value is not a word of ours
                current = name
            elif room:
                if current:
                    options[current] += _split(word) if known[current].count == MANY else [word]
                room = room if room == MANY else room - 1
            else:
                positional.append(word)
        return cls(options, positional, tuple(unknown))

    def get(self, name: str, default: str = "") -> str:
        """The first value of an option."""
        values = self.options.get(name)
        return values[0] if values else default

    def has(self, name: str) -> bool:
        """Whether the option is there (and not `0` or `False`)."""
        return name in self.options and self.options[name] not in (["0"], ["False"], ["false"])


@dataclass(frozen=True)
class Translation:
    """What becomes of a command line.

    Args:
        system: whose command it is.
        commands: our commands, in order.
        missing: options without a counterpart, and why.
        notes: what differs.
        unknown: options that the original does not have, and suggestions.
    """

    system: str
    commands: tuple[str, ...]
    missing: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    unknown: tuple[tuple[str, str], ...] = ()

    def text(self) -> str:
        """For the terminal."""
        lines = [f"# {self.system}", *self.commands]
        if self.missing:
            lines += ["", "No counterpart:", *(f"  {name}: {why}" for name, why in self.missing)]
        if self.unknown:
            lines += ["", "Not an option of the original:"]
            lines += [
                f"  {name}{f' (did you mean {guess}?)' if guess else ''}" for name, guess in self.unknown
            ]
        if self.notes:
            lines += ["", *(f"Note: {note}" for note in self.notes)]
        return "\n".join(lines)


@dataclass(frozen=True)
class Command:
    """A command of an original.

    Args:
        system: whose.
        script: its file name.
        options: by name, without dashes.
        build: our commands as lists of words; the words of the options are added to the one that `target` selects.
        notes: what differs.
        target: the index of the command that takes the options.
    """

    system: str
    script: str
    options: Mapping[str, Option]
    build: Callable[[Arguments], list[list[str]]]
    notes: tuple[str, ...] = ()
    target: int = -1

    def translate(self, arguments: Arguments) -> Translation:
        """Our commands for these arguments."""
        commands = self.build(arguments)
        missing: list[tuple[str, str]] = []
        notes = list(self.notes)
        for name, values in arguments.options.items():
            option = self.options[name]
            written = shlex.join([f"--{name}", *values])
            if option.ours and (option.count == 0 or values):
                commands[self.target] += self._words(name, values)
                if option.why:
                    notes.append(f"--{name}: {option.why}.")
            elif not option.used:
                missing.append((written, option.why or "this option has no effect in the original"))
        unknown = tuple((name, self._suggest(name)) for name in arguments.unknown)
        lines = tuple(_join(words) for words in commands)
        return Translation(self.system, lines, tuple(missing), tuple(notes), unknown)

    def _words(self, name: str, values: Sequence[str]) -> list[str]:
        try:
            return self.options[name].words(values)
        except (ValueError, OverflowError) as error:
            raise ConfigError(
                f"{self.script} --{name} cannot be translated.",
                found=" ".join(values)[:80],
                expected="a number",
            ) from error

    def _suggest(self, written: str) -> str:
        known = {_plain(name): name for name in self.options}
        guess = get_close_matches(_plain(written.lstrip("-").partition("=")[0]), known, n=1, cutoff=0.5)
        return f"--{known[guess[0]]}" if guess else ""


def unused(why: str, count: int = 1) -> Option:
    """An option without a counterpart."""
    return Option(why=why, count=count)


def used(count: int = 1) -> Option:
    """An option that the command's own function reads."""
    return Option(count=count, used=True)


def _join(words: Sequence[str]) -> str:
    """Words as a shell line; only those that need it are quoted, placeholders such as FOLDER stay readable."""
    last: dict[str, int] = {}
    for number, word in enumerate(words):  # of an option that occurs twice the last one counts
        last[word.partition("=")[0] if "=" in word else f"{number}"] = number
    return shlex.join(words[number] for number in sorted(last.values()))


def _plain(name: str) -> str:
    return name.replace("-", "_").lower()


def _split(word: str) -> list[str]:
    """Numbers of `[512,`, `896]` or `512,896`: people copy lists as the READMEs print them."""
    return [part for part in word.strip("[]").replace(",", " ").split() if part]


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
