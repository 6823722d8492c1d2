"""The worker process as the server sees it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_GRACE = 3.0  # seconds to leave by itself


class WorkerLost(Exception):
    """The process ended before it answered."""


class WorkerProcess:
    """A process that answers one request after the other; started when needed, and again after its end.

    Args:
        command: of a program that speaks the language of `worker`.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def ask(
        self,
        request: Mapping[str, Any],
        progress: Callable[[float, str], None] = lambda share, stage: None,
        seconds: float | None = None,
    ) -> dict[str, Any]:
        """The last answer to a request.

        Args:
            request: see `worker`.
            progress: called with share and stage.
            seconds: to wait for it, once it is its turn.

        Raises:
            WorkerLost: the process ended. TimeoutError: it took too long, and was ended.
        """
        async with self._turn:
            try:
                async with asyncio.timeout(seconds):
                    return await self._converse(await self._running(), request, progress)
            except BaseException:
                await asyncio.shield(self.stop())  # whatever it would say now belongs to no request
                raise

    async def stop(self) -> None:
        """End the process and all that it started: first with a word, then by force."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        return self._process

    @staticmethod
    async def _converse(
        process: asyncio.subprocess.Process,
        request: Mapping[str, Any],
        progress: Callable[[float, str], None],
    ) -> dict[str, Any]:
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write((json.dumps(request) + "\n").encode())
            await process.stdin.drain()
            while line := await process.stdout.readline():
                words: dict[str, Any] = json.loads(line)
                if "progress" not in words:
                    return words
                progress(words["progress"], words["stage"])
        except (ConnectionError, ValueError) as error:
            raise WorkerLost from error
        raise WorkerLost
