"""`python -m benchmarks.gpu OUT`: what a GPU does with this project, in about ten minutes, phase by phase.

    python -m benchmarks.gpu prepare STORES.tar.xz     on any machine: small stores, to be carried to the one with the GPU
    python -m benchmarks.gpu OUT --stores STORES.tar.xz
    python -m benchmarks.gpu OUT --rehearse     on a machine without a GPU: all phases, tiny, on the simulated device
    python -m benchmarks.gpu simulate           every model on the simulated device, a table of faults and waits

`OUT/results.json` is written after every phase; a phase that fails or takes too long does not stop the next.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Run the command; 1 where something failed."""
    if arguments[:1] == ["simulate"]:
        from benchmarks.gpu.simulate import main as simulate

        return simulate(arguments[1:])
    if arguments[:1] == ["prepare"]:
        from benchmarks.gpu.plan import prepare_stores

        prepare_stores(Path(arguments[1]))
        return 0
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder for results.json, images and weights")
    parser.add_argument("--stores", type=Path, help="of `prepare`; made in OUT where it is not given")
    parser.add_argument("--rehearse", action="store_true", help="tiny, on the simulated device")
    parser.add_argument("--device", default="cuda", help="(%(default)s)")
    parser.add_argument("--minutes", type=float, default=10.0, help="in all (%(default)g)")
    parser.add_argument("--only", nargs="+", help="names of phases")
    options = parser.parse_args(arguments)
    from benchmarks.gpu.machine import install_wheels
    from benchmarks.gpu.plan import Plan

    if install_wheels():
        return 1  # pip has said why
    from benchmarks.gpu.run import run

    plan = Plan(options.out, options.stores, options.device, options.rehearse, options.minutes)
    return run(plan, options.only)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
