"""`python -m benchmarks.faults NAME [option=value ...]`: make trouble, and look at what comes of it.

fuzz   damaged files for every reader     minutes=1 reader=bvh,obj first=0 corpus=FOLDER
kill   SIGKILL at random moments          what=train,prepare,predict,workers times=50 seed=0 only=NAME
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

os.environ["OMP_NUM_THREADS"] = (
    "1"  # threads of a library do not live on in a forked process, which then waits for them
)

NAMES = ("fuzz", "kill")


def main(arguments: list[str]) -> int:
    """Run one of them; the exit status is 1 where something was found."""
    name, options = (arguments or [""])[0], [argument.partition("=") for argument in arguments[1:]]
    if name not in NAMES or any(not middle for _, middle, _ in options):
        print(__doc__)
        return 2
    module = import_module(f"benchmarks.faults.{name}")
    return int(module.main({key: value for key, _, value in options}))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
