"""The command `python -m contrapposto.report`."""

from __future__ import annotations

import sys
from pathlib import Path

from contrapposto.errors import ConfigError, ContrappostoError, MissingError
from contrapposto.report.comparison import write_comparison
from contrapposto.report.evaluation import write_report

HELP = """
One self-contained HTML page: no script, style or image from elsewhere.

  python -m contrapposto.report runs/                        compare all runs below a folder
  python -m contrapposto.report runs/npr runs/njf            of two models
  python -m contrapposto.report runs/MODEL/TIME/evaluation/DATA-test     one evaluation (as evaluate.py report=true)

Options:
  output=report.html    the file; of one evaluation it is written into its folder unless said otherwise
"""


def main(arguments: list[str]) -> Path | None:
    """Write the page that the command line asks for; None where it asked for help.

    Raises:
        ConfigError, MissingError, InputError: what is wrong with it.
    """
    if {"-h", "--help"} & set(arguments):
        print(HELP.strip())
        return None
    paths, output = [], None
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and name == "output" and value:
            output = Path(value)
        elif equals and name.isidentifier() and not Path(argument).exists():
            raise ConfigError(f"There is no option {name!r}.", expected="output=FILE")
        else:
            paths.append(Path(argument))
    if not paths:
        raise ConfigError("Nothing to report on.", fix="python -m contrapposto.report runs/")
    for path in paths:
        if not path.is_dir():
            raise MissingError(f"There is no folder {path}.", expected="runs/, runs/MODEL, or a run")
    if len(paths) == 1 and paths[0].absolute().parent.name == "evaluation":
        return write_report(paths[0].absolute(), output)
    return write_comparison(paths, output or Path("report.html"))


if __name__ == "__main__":
    try:
        written = main(sys.argv[1:])
    except ContrappostoError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    if written is not None:
        print(written)
