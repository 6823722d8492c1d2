"""`contrapposto translate "python run_nerf.py --config ..."`: our commands for a command of one of the originals.

Nothing is run. Options without a counterpart are listed with the reason; misspelt ones get suggestions. The tables are
facts from docs/specs; docs/coming_from.md shows every command.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath

from contrapposto.errors import ConfigError, nearest
from contrapposto.translate import anerf, npr, posegpt, sage, scail_pose
from contrapposto.translate.grammar import Arguments, Command, Translation

COMMANDS: tuple[Command, ...] = (
    *npr.COMMANDS,
    *anerf.COMMANDS,
    *scail_pose.COMMANDS,
    *sage.COMMANDS,
    *posegpt.COMMANDS,
)
HELP = """
contrapposto translate "COMMAND" prints our commands for a command line of NPR, A-NeRF, SCAIL-Pose, SAGE or PoseGPT.

  contrapposto translate "python run_nerf.py --config configs/surreal/surreal.txt --expname x"
  contrapposto translate "python process_pose.py --subdir clip --resolution [512, 896] --use_align"

docs/coming_from.md has a table of all their commands and files.
"""


def translate(line: str) -> Translation:
    """Translate one command line.

    Args:
        line: as typed in a shell; variables before it, `python` and folders before the script may be there or not.

    Raises:
        ConfigError: the line is empty or cannot be split, its script is not one of the originals', or a number that has
            to be converted is none.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ConfigError(f"The command cannot be split into words: {error}.", found=line) from error
    script, rest = _script(words)
    fetched = None if script.endswith(".py") else scail_pose.download(words)
    if fetched is not None:
        return fetched
    candidates = [command for command in COMMANDS if command.script == script]
    if not candidates:
        names = sorted({command.script for command in COMMANDS})
        raise ConfigError(
            f"{script or 'This'} is not a script of the five originals.",
            found=line,
            expected=nearest(script, names),
            fix="docs/coming_from.md lists their commands",
        )
    readings = [(command, Arguments.parse(rest, command.options)) for command in candidates]
    command, arguments = min(readings, key=lambda reading: len(reading[1].unknown))
    return command.translate(arguments)


def _script(words: Sequence[str]) -> tuple[str, list[str]]:
    """The script's file name and its arguments; what comes before it is dropped."""
    for number, word in enumerate(words):
        name = PurePosixPath(word).name
        if name.endswith(".py") or (number and words[number - 1] == "-m"):
            name = name if name.endswith(".py") else name.rpartition(".")[2] + ".py"
            return name, list(words[number + 1 :])
    return (words[0], list(words[1:])) if words else ("", [])


def main(arguments: Sequence[str]) -> int:
    """Print the translation of a command line, given as one quoted word or as several; 1 if an option is unknown."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(HELP.strip())
        return 0
    result = translate(arguments[0] if len(arguments) == 1 else shlex.join(arguments))
    print(result.text())
    return 1 if result.unknown else 0
