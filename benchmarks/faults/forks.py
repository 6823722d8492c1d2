"""Entry points in child processes that start warm: everything heavy is imported once, then forked, so that a run takes one
or two and a kill falls into its work and not into its imports."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

_MODULES = {"train": "cli.train", "predict": "contrapposto.tasks.predict", "prepare": "cli.prepare"}
_HEAVY = (
    *(
        "pytorch_lightning",
        "hydra",
        "torchmetrics",
        "scipy.spatial.transform",
        "matplotlib.pyplot",
        "callbacks",
    ),
    *(
        "datamodules.sage",
        "datamodules.posegpt.windows",
        "datamodules.npr",
        "lightning_modules.sage",
        "lightning_modules.npr",
    ),
    *(
        "lightning_modules.posegpt",
        "contrapposto.data.prepare",
        "contrapposto.retarget",
        "contrapposto.render",
    ),
    *(
        "contrapposto.tasks.sage",
        "contrapposto.tasks.npr",
        "contrapposto.tasks.posegpt",
        "cli.evaluate",
        "cli.report",
    ),
)


def warm() -> None:
    """Import, and compute nothing: threads that a library has started would not live on in a forked process."""
    os.environ.update(OMP_NUM_THREADS="1", WANDB_MODE="offline", MPLBACKEND="Agg")
    import torch

    torch.set_num_threads(1)
    for name in (*_HEAVY, *_MODULES.values()):
        import_module(name)


def start(entry: str, arguments: Sequence[str], log: Path) -> int:
    """Run `python <entry>.py <arguments>` in a forked process of a session of its own; returns its number."""
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        os.setsid()
        with open(log, "ab") as file:
            os.dup2(file.fileno(), 1), os.dup2(file.fileno(), 2)
        os.environ.pop("CONTRAPPOSTO_RUN", None)
        sys.argv = [f"{entry}.py", *arguments]
        status = _run(entry)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(status)


def _run(entry: str) -> int:
    if entry == "predict":
        from contrapposto.cli import main

        return main(["predict", *sys.argv[1:]])
    from cli.launch import launch

    launch(entry)
    return 0


def wait(process: int) -> tuple[int, float]:
    """The exit status of a process (negative: the signal that ended it), and the seconds of processor time it took."""
    _, status, used = os.wait4(process, 0)
    return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime


def kill_after(process: int, seconds: float) -> bool:
    """SIGKILL one process, not those that it has started, once it has used so much processor time.

    A machine that others use as well makes runs longer, but not their processor time. Tells whether it was met running.
    """
    while _processor_time(process) < seconds:
        ended, _ = os.waitpid(process, os.WNOHANG)
        if ended:
            return False
        time.sleep(0.002)
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    return os.WIFSIGNALED(status)


def kill_child_after(process: int, seconds: float) -> bool:
    """SIGKILL a child of a process once that has used so much processor time; tells whether there was one then."""
    while _processor_time(process) < seconds:
        if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return False  # it has ended; wait() is still to be called
        time.sleep(0.002)
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    if children:
        os.kill(int(children[0]), signal.SIGKILL)
    return bool(children)


def _processor_time(process: int) -> float:
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def survivors(session: int, seconds: float = 10.0) -> list[str]:
    """Names of processes of a session that outlive their killed leader for more than some seconds; they are ended."""
    deadline = time.monotonic() + seconds
    while (results := _members(session)) and time.monotonic() < deadline:
        time.sleep(0.02)
    for number in results:
        os.kill(number, signal.SIGKILL)
    return list(results.values())


def _members(session: int) -> dict[int, str]:
    results = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        state, _, _, own = rest.split()[:4]
        if int(own) == session and state != "Z":
            results[int(stat.parent.name)] = name.partition("(")[2]
    return results
