"""The process that runs the commands of the page, one list of them a request.

It speaks the language of `contrapposto.systems.scail_pose.service.worker`. A request: `{"steps": [[argument, ...],
...]}`, arguments of `contrapposto predict`. The result: `{"files": [[path, ...], ...]}`, what each of them wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contrapposto.progress import heard_by
from contrapposto.systems.scail_pose.service.worker import Progress, main, outcome


def respond(request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Run the commands of a request."""
    return outcome(lambda: {"files": run(request["steps"], progress)})


def run(steps: list[list[str]], progress: Progress) -> list[list[str]]:
    """Run commands one after the other; returns the paths that each wrote.

    Raises:
        ContrappostoError: what the first command that fails raises.
    """
    from contrapposto.tasks.predict import compose, predict

    files: list[list[str]] = []
    for number, arguments in enumerate(steps):
        start = number / len(steps)

        def report(stage: str, done: int, total: int, start: float = start) -> None:
            progress(start + min(done / max(total, 1), 1.0) / len(steps), stage)

        progress(start, "working")
        with heard_by(report):
            files.append([str(path) for path in predict(compose(arguments))])
    return files


if __name__ == "__main__":
    main(respond)
