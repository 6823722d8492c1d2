"""`python -m benchmarks [NAME ...]`: measure, print a table, write JSON."""

from __future__ import annotations

import argparse
import platform
from importlib import import_module
from pathlib import Path

BENCHMARKS = (
    "figure",
    "sage_vqvae",
    "sage",
    "posegpt",
    "npr",
    "npr_training",
    "anerf",
    "images",
    "scail_pose",
    "waits",
)


def main() -> None:
    """Run the chosen benchmarks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all where none is given"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default 1)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")

    import torch

    from benchmarks.measure import matmul_speed

    torch.set_num_threads(options.threads)
    speed = matmul_speed()
    machine = {
        "cpu": _cpu(),
        "threads": options.threads,
        "torch": torch.__version__,
        "matmul_gflops": speed / 1e9,
    }
    print(f"{machine['cpu']}; {options.threads} thread(s); matmul {speed / 1e9:.0f} GFLOP/s float32\n")
    print(f"{'what':<52}{'value':>12} {'unit':<14}{'floor':>7}{'ratio':>8}  plain path")
    rows = []
    for name in options.names or BENCHMARKS:
        for row in import_module(f"benchmarks.{name}").run(options.threads):
            rows.append(row)
            floor = "" if row.floor_share is None else f"{100 * row.floor_share:.0f} %"
            ratio = "" if row.ratio is None else f"{row.ratio:.1f}x"
            print(
                f"{row.name:<52}{row.value:>12,.1f} {row.unit:<14}{floor:>7}{ratio:>8}  {row.plain}",
                flush=True,
            )
    if options.json:
        from contrapposto.files import write_json

        write_json(options.json, {"machine": machine, "figures": [row.to_json() for row in rows]})
        print(f"\n{options.json}")


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    line = next((line for line in text.splitlines() if line.startswith("model name")), "")
    return line.partition(":")[2].strip() or platform.machine()


if __name__ == "__main__":
    main()
