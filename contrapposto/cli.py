"""The command `contrapposto`: use trained models and the tools around them. Training needs a checkout of the project."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

HELP = """
contrapposto COMMAND [key=value ...]; contrapposto COMMAND --help states more.

  predict    use a model on your files: task=sage_track, posegpt_sample, npr_transfer, anerf_render, scail_pose, ...
  convert    a motion file into npz, bvh, glb and mp4
  view       motion, meshes, videos, runs in the browser
  live       a body from a headset: a page for its browser, and one to watch
  studio     a page to try everything, for anybody
  serve      SCAIL-Pose as a service with a page
  report     one HTML page from evaluations and runs
  publish    a finished run as a folder to pass on
  fetch      a published model from a web address; scail-weights: YOLOX, DWPose and NLF
  doctor     versions, devices, optional packages, data
  verify     whether the installation and the shipped models work
  translate  our commands for a command line of one of the original systems

train, evaluate and prepare are commands of a checkout: python train.py model=...
"""
_CHECKOUT = ("train", "evaluate", "prepare")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 2 for mistakes that the user can fix, 130 after Ctrl+C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP.strip())
        return 0
    # a command makes hundreds of thousands of objects that stay: looking through them after every 700 costs 0.5 s
    gc.set_threshold(50_000, 20, 20)
    name, rest = words[0], words[1:]
    return guarded(lambda: _command(name)(rest))


def guarded(work: Callable[[], int | None]) -> int:
    """Run `work`; errors that the user can fix are printed without a traceback."""
    from contrapposto.errors import ContrappostoError

    try:
        return work() or 0
    except ContrappostoError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # for example `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _command(name: str) -> Callable[[list[str]], int | None]:
    from contrapposto.errors import ConfigError, nearest

    if name in _CHECKOUT:
        raise ConfigError(
            f"contrapposto {name} needs a checkout of the project: training is not part of the installed package.",
            fix=f"git clone the repository (docs/start.md), then python {name}.py --help",
        )
    if name not in COMMANDS:
        raise ConfigError(f"There is no command {name!r}.", expected=nearest(name, COMMANDS))
    return COMMANDS[name]


def predict(arguments: list[str]) -> None:
    """Run a task or a chain of tasks."""
    from contrapposto.tasks.predict import compose, print_help
    from contrapposto.tasks.predict import predict as run

    if {"-h", "--help"} & set(arguments) or not arguments:
        print_help(arguments)
    elif "--cfg" in arguments:
        from omegaconf import OmegaConf

        shown = [argument for argument in arguments if argument not in ("--cfg", "job")]
        print(OmegaConf.to_yaml(compose(shown)), end="")
    else:
        run(compose(arguments))


def convert(arguments: list[str]) -> None:
    """The task `convert`."""
    predict(["task=convert", *arguments])


def live(arguments: list[str]) -> None:
    """The task `sage_track` for headsets with a browser; input=web://127.0.0.1:8765 unless set, or udp://HOST:PORT."""
    source = (
        [] if any(argument.startswith("input=") for argument in arguments) else ["input=web://127.0.0.1:8765"]
    )
    predict(["task=sage_track", *source, *arguments])


def view(arguments: list[str]) -> None:
    """Open files in the viewer."""
    from contrapposto.view import main as run

    run(arguments)


def serve(arguments: list[str]) -> int:
    """Serve SCAIL-Pose."""
    from contrapposto.systems.scail_pose.service.__main__ import main as run

    return run(arguments)


def studio(arguments: list[str]) -> int:
    """Serve the page of all systems."""
    from contrapposto.studio.__main__ import main as run

    return run(arguments)


def report(arguments: list[str]) -> None:
    """Write a report."""
    from contrapposto.report.__main__ import main as run

    written = run(arguments)
    if written is not None:
        print(written)


def publish(arguments: list[str]) -> int:
    """Publish runs."""
    from contrapposto.publish import main as run

    return run(arguments)


def fetch(arguments: list[str]) -> int:
    """Fetch a published model, or the networks of others that SCAIL-Pose can use."""
    if arguments[:1] == ["scail-weights"]:
        from contrapposto.systems.scail_pose.weights import main as fetch_weights

        return fetch_weights(arguments[1:])
    from contrapposto.fetch import main as run

    return run(arguments)


def verify(arguments: list[str]) -> int:
    """Check the installation and the shipped models; in a checkout also cards, golden cases and training."""
    from contrapposto.verify import checkout
    from contrapposto.verify import main as run

    root = checkout()
    if root is None:
        return run(arguments)
    command = [sys.executable, "-m", "cli.verify", *arguments]
    return subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": str(root)}).returncode


def doctor(arguments: list[str]) -> None:
    """Print what a bug report needs."""
    from contrapposto.doctor import report as text

    print(text(*map(Path, arguments)))


def translate(arguments: list[str]) -> int:
    """Print our commands for one of an original system."""
    from contrapposto.translate import main as run

    return run(arguments)


COMMANDS: dict[str, Callable[[list[str]], int | None]] = {
    "predict": predict,
    "convert": convert,
    "view": view,
    "live": live,
    "serve": serve,
    "studio": studio,
    "report": report,
    "publish": publish,
    "fetch": fetch,
    "doctor": doctor,
    "verify": verify,
    "translate": translate,
}


if __name__ == "__main__":
    sys.exit(main())
