"""`contrapposto studio`: serve the page to this machine's browser."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from contrapposto.errors import ConfigError, ContrappostoError
from contrapposto.systems.scail_pose.service.limits import MIB
from contrapposto.tasks.signals import stopped_by_signals

LOOPBACK = ("127.0.0.1", "localhost")


def main(arguments: list[str] | None = None) -> int:
    """Serve until Ctrl+C; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        _serve(options)
    except ContrappostoError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 2
    return 0


def _serve(options: argparse.Namespace) -> None:
    for option in ("max_mib", "max_seconds", "max_side", "max_waiting", "max_work", "keep_hours"):
        if not getattr(options, option) > 0:
            raise ConfigError(
                f"--{option.replace('_', '-')} {getattr(options, option):g} cannot be used.",
                expected="a positive number",
            )
    if options.device != "auto":
        from contrapposto.devices import find_device

        find_device(options.device)
    ended = threading.Event()
    with stopped_by_signals(ended.set), tempfile.TemporaryDirectory(prefix="contrapposto-studio-") as name:
        folder = Path(name)
        os.environ["GRADIO_TEMP_DIR"] = str(folder / "gradio")  # uploads; removed with the folder
        page = _launched(options, folder)
        ended.wait()
        page.close(verbose=False)


def _launched(options: argparse.Namespace, folder: Path) -> Any:
    from contrapposto.studio.jobs import LIMITS
    from contrapposto.studio.page import build, launch_options

    limits = replace(
        LIMITS,
        upload=int(options.max_mib * MIB),
        seconds=options.max_seconds,
        output_side=options.max_side,
        waiting=options.max_waiting,
        job_seconds=options.max_work,
        keep=options.keep_hours * 3600,
    )
    page = build(folder, limits, device=options.device)
    try:
        _, url, _ = page.launch(
            server_name=options.host,
            server_port=options.port,
            inbrowser=options.open,
            prevent_thread_lock=True,
            **launch_options(limits, LOOPBACK if options.host in LOOPBACK else ("*",)),
        )
    except OSError as error:
        raise ConfigError(
            f"Port {options.port} cannot be used.", found=str(error), fix="choose another: --port"
        ) from None
    print(f"{url} (end with Ctrl+C)", flush=True)
    if options.host not in LOOPBACK:
        print("Note: there is no password; whoever reaches this address can use the page.", flush=True)
    return page


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="contrapposto studio", description=__doc__)
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen at (%(default)s: this machine only)")
    add("--port", type=int, default=7860, help="(%(default)s)")
    add("--open", action="store_true", help="open the browser")
    add("--device", default="auto", help="of networks: auto, cpu, cuda, cuda:1, mps (%(default)s)")
    add("--max-mib", type=float, default=64.0, help="of an upload (%(default)g)")
    add("--max-seconds", type=float, default=20.0, help="of a motion or video (%(default)g)")
    add("--max-side", type=int, default=896, help="of a video that is drawn, pixels (%(default)s)")
    add("--max-waiting", type=int, default=16, help="jobs in the queue (%(default)s)")
    add("--max-work", type=float, default=600.0, help="seconds for a job (%(default)g)")
    add("--keep-hours", type=float, default=1.0, help="until files are removed (%(default)g)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
