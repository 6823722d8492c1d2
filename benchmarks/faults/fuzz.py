"""Feed every reader with damaged files: it must give a result or one clear error, soon, in little memory."""

from __future__ import annotations

import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.faults.mutations import mutate
from benchmarks.faults.readers import READERS, Reader

CPU_SECONDS = 10.0
"""Of one read of a few kilobytes; most take milliseconds."""
MEMORY = 400 * 2**20
"""Bytes by which a read may let the process grow."""
_SILENT = 120.0  # seconds of wall time after which a child that states nothing hangs in native code


class TooSlow(BaseException):
    """A read took more than `CPU_SECONDS` of processor time; no reader catches it."""


@dataclass
class Outcome:
    """What fuzzing a reader found.

    Args:
        cases: damaged inputs that were read.
        refused: of them, those that gave one of the suite's errors.
        failures: what went wrong, to the numbers of the cases that showed it.
    """

    cases: int = 0
    refused: int = 0
    failures: dict[str, list[int]] = field(default_factory=dict)


def case(name: str, files: dict[str, bytes], number: int) -> dict[str, bytes]:
    """The input of a case: the same for the same number."""
    return mutate(files, Random(f"{name} {number}"))


def seed_files(reader: Reader) -> dict[str, bytes]:
    """Names and bytes of a reader's valid input."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "seed"
        folder.mkdir()
        reader.make(folder)
        return {
            file.relative_to(folder).as_posix(): file.read_bytes()
            for file in folder.rglob("*")
            if file.is_file()
        }


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write an input into a folder that is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(folder.with_name(f"{folder.name}.unpacked"), ignore_errors=True)
    folder.mkdir()
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def attempt(reader: Reader, folder: Path) -> str:
    """Read once: `read`, `refused`, or what went wrong (kind, where, words)."""
    from contrapposto.errors import ContrappostoError

    before = _most_memory()
    try:
        with _limited_time(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader.read(folder)
        results = "read"
    except ContrappostoError as error:
        results = "refused" if str(error).strip() else "an error without words"
    except (Exception, TooSlow) as error:
        results = _describe(error)
    grown = _most_memory() - before
    return f"memory grew by {grown / 2**20:.0f} MiB" if grown > MEMORY else results


def fuzz(name: str, seconds: float, first: int = 0, corpus: Path | None = None) -> Outcome:
    """Fuzz one reader.

    Args:
        name: of `READERS`.
        seconds: of wall time.
        first: number of the first case.
        corpus: folder that keeps one small input of each failure.
    """
    reader = READERS[name]
    files, outcome, end = seed_files(reader), Outcome(), time.monotonic() + seconds
    _check_seed(name, reader, files)
    number = first
    while time.monotonic() < end:
        number = _one_child(name, reader, files, number, end, outcome)
    if corpus is not None:
        for what, numbers in outcome.failures.items():
            smallest = min(numbers, key=lambda n: sum(map(len, case(name, files, n).values())))
            place = corpus / name / str(smallest)
            place.parent.mkdir(parents=True, exist_ok=True)
            write_files(place, case(name, files, smallest))
            print(f"{name}: {what}: kept {place}", file=sys.stderr)
    return outcome


def _check_seed(name: str, reader: Reader, files: dict[str, bytes]) -> None:
    """A valid input must be read; it also imports what the reader needs before any child is forked."""
    with tempfile.TemporaryDirectory() as place:
        write_files(Path(place) / "case", files)
        reader.read(Path(place) / "case")


def _one_child(
    name: str, reader: Reader, files: dict[str, bytes], number: int, end: float, outcome: Outcome
) -> int:
    """Read cases in a child process until the time is over or it fails badly; returns the next number."""
    source, sink = os.pipe()
    with tempfile.TemporaryDirectory(prefix="fuzz") as place:
        child = os.fork()
        if child == 0:
            os.close(source)
            _work(name, reader, files, number, end, Path(place) / "case", sink)
        os.close(sink)
        last = number
        with os.fdopen(source, "rb") as answers:
            for line in _lines(answers):
                results = json.loads(line)
                last = results["case"]
                if "what" not in results:
                    continue
                outcome.cases += 1
                outcome.refused += results["what"] == "refused"
                if results["what"] not in ("read", "refused"):
                    outcome.failures.setdefault(results["what"], []).append(last)
                last += 1
        if _reap(child):
            outcome.cases += 1
            outcome.failures.setdefault("the process died or hung", []).append(last)
            last += 1
    return last


def _work(
    name: str, reader: Reader, files: dict[str, bytes], number: int, end: float, folder: Path, sink: int
) -> None:
    """The child: never returns."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1), os.dup2(null, 2)  # libraries print of what they find
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + 4 * 2**30,) * 2)
        while time.monotonic() < end:
            os.write(sink, json.dumps({"case": number}).encode() + b"\n")
            write_files(folder, case(name, files, number))
            what = attempt(reader, folder)
            os.write(sink, json.dumps({"case": number, "what": what}).encode() + b"\n")
            number += 1
            if what.startswith("memory"):
                break  # a fresh child: this one's peak hides the next
        os._exit(0)
    except BaseException:
        os._exit(1)


def _lines(answers: Any) -> Iterator[bytes]:
    buffer = b""
    while True:
        ready, _, _ = select.select([answers], [], [], _SILENT)
        block = os.read(answers.fileno(), 65536) if ready else b""
        if not block:
            return
        *lines, buffer = (buffer + block).split(b"\n")
        yield from lines


def _reap(child: int) -> bool:
    """Wait for a child that has closed its pipe or hangs; tell whether it ended badly."""
    ended, status = os.waitpid(child, os.WNOHANG)
    for _ in range(20):
        if ended:
            break
        time.sleep(0.05)
        ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return True
    return status != 0


@contextmanager
def _limited_time() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooSlow(f"more than {CPU_SECONDS:.0f} s of processor time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _describe(error: BaseException) -> str:
    """Kind of an error and the last place of the suite that it came through: equal for equal faults."""
    frames = traceback.extract_tb(error.__traceback__)
    root = str(Path(__file__).parents[2])
    own = [frame for frame in frames if frame.filename.startswith(root) and "/benchmarks/" not in frame.filename
           and "/.venv/" not in frame.filename]  # fmt: skip
    where = f"{Path(own[-1].filename).relative_to(root)}:{own[-1].lineno}" if own else "outside"
    return f"{type(error).__name__} at {where}"


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(options: dict[str, str]) -> int:
    """`minutes=` in all per reader, `reader=` one or several by commas, `first=` case, `corpus=` folder."""
    names = options.get("reader", ",".join(READERS)).split(",")
    unknown = [name for name in names if name not in READERS]
    if unknown:
        print(f"no reader {unknown[0]!r}; there are {', '.join(READERS)}", file=sys.stderr)
        return 2
    seconds = 60 * float(options.get("minutes", "1"))
    corpus = Path(options["corpus"]) if "corpus" in options else None
    failed = 0
    for name in names:
        outcome = fuzz(name, seconds, int(options.get("first", "0")), corpus)
        failed += len(outcome.failures)
        print(
            f"{name:<14}{outcome.cases:>9} cases {outcome.refused:>9} refused {len(outcome.failures):>4} failures",
            flush=True,
        )
        for what, numbers in sorted(outcome.failures.items()):
            print(f"    {len(numbers):>6} x {what}, case {numbers[0]}", flush=True)
    return int(failed > 0)
