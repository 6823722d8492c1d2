"""`python -m contrapposto.systems.scail_pose.service`: make pose videos for this machine's browser and programs."""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys
import tempfile
from pathlib import Path

from contrapposto.devices import describe_device, find_device
from contrapposto.errors import ConfigError, ContrappostoError, MissingError
from contrapposto.systems.scail_pose.service.limits import MIB, Limits


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        _serve(options)
    except ContrappostoError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 2
    return 0


def _serve(options: argparse.Namespace) -> None:
    try:
        import uvicorn

        from contrapposto.systems.scail_pose.service.app import create_app
    except ImportError as error:
        raise MissingError(
            "The service's packages are missing.",
            found=str(error),
            fix="pip install fastapi uvicorn python-multipart",
        ) from None
    limits = _limits(options)
    print(f"device: {describe_device(find_device(options.device))}")
    app = create_app(
        options.folder,
        limits,
        estimator={"estimator": options.estimator, "weights": str(options.weights.absolute())},
        device=options.device,
        names=options.name,
    )
    tempfile.tempdir = str(options.folder.absolute())  # uploads arrive on the disk where they stay
    print(f"http://{options.host}:{options.port} (end with Ctrl+C); files in {options.folder}", flush=True)
    if not _loopback(options.host):
        print("Note: there is no password; whoever reaches this address can use the service.", flush=True)
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        log_level="warning",
        access_log=False,  # addresses of jobs are secrets
        server_header=False,
        timeout_graceful_shutdown=3,
    )


def _parser() -> argparse.ArgumentParser:
    usual = Limits()
    parser = argparse.ArgumentParser(
        prog="python -m contrapposto.systems.scail_pose.service", description=__doc__
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen at (%(default)s: this machine only)")
    add("--port", type=int, default=5999, help="(%(default)s)")
    add("--name", action="append", default=[], help="host name it may be reached by; may be repeated")
    add(
        "--folder", type=Path, default=Path(os.environ.get("EXAMPLES_DIR", "out/serve")), help="(%(default)s)"
    )
    add(
        "--weights",
        type=Path,
        default=Path(os.environ.get("MODEL_PATH", "pretrained_weights")),
        help="folder of your YOLOX, DWPose and NLF files (%(default)s)",
    )
    add("--estimator", default="auto", choices=("auto", "blazepose", "files"), help="(%(default)s)")
    add(
        "--device",
        default="auto",
        help="of networks and renderer: auto, cpu, cuda, cuda:1, mps (%(default)s)",
    )
    add("--max-mib", type=float, default=usual.upload / MIB, help="of an upload (%(default)g)")
    add("--max-seconds", type=float, default=usual.seconds, help="of a video (%(default)g)")
    add("--max-side", type=int, default=usual.output_side, help="of a pose video, pixels (%(default)s)")
    add("--max-waiting", type=int, default=usual.waiting, help="jobs in the queue (%(default)s)")
    add("--max-disk-mib", type=float, default=usual.disk / MIB, help="of all files (%(default)g)")
    add("--max-work", type=float, default=usual.job_seconds, help="seconds for a job (%(default)g)")
    add("--keep-hours", type=float, default=usual.keep / 3600, help="until files are removed (%(default)g)")
    return parser


def _limits(options: argparse.Namespace) -> Limits:
    limits = {name: value for name, value in vars(options).items() if name.startswith(("max_", "keep_"))}
    for name, value in limits.items():
        if not value > 0:
            raise ConfigError(
                f"--{name.replace('_', '-')} {value:g} cannot be used.", expected="a positive number"
            )
    return Limits(
        upload=int(options.max_mib * MIB),
        seconds=options.max_seconds,
        output_side=options.max_side,
        waiting=options.max_waiting,
        disk=int(options.max_disk_mib * MIB),
        job_seconds=options.max_work,
        keep=options.keep_hours * 3600,
    )


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    sys.exit(main())
