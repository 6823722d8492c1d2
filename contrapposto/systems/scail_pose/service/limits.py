"""What the service takes on, and the word with which it refuses more."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20


class Refusal(Exception):
    """A request that is answered with an error.

    Args:
        status: of HTTP.
        message: for the person who asked.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(frozen=True)
class Limits:
    """What one service takes on.

    Attributes:
        upload: bytes of one request, video and image together.
        upload_seconds: for an upload to arrive.
        seconds: longest video; of one that does not say how long it is, no more than this is looked at.
        side: longest side of an uploaded image or video in pixels.
        output_side: longest side of a pose video in pixels.
        waiting: jobs in the queue.
        disk: bytes of all uploads and results together.
        job_seconds: for one job to be done.
        keep: seconds after the last change until everything of an upload is removed.
    """

    upload: int = 256 * MIB
    upload_seconds: float = 600.0
    seconds: float = 300.0
    side: int = 4096
    output_side: int = 2048
    waiting: int = 64
    disk: int = 10240 * MIB
    job_seconds: float = 3600.0
    keep: float = 6 * 3600.0
