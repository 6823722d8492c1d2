"""Downloads that resume, are checked, and fail with one clear error; archives unpacked with suspicion."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from contrapposto.data.recipes.base import Progress
from contrapposto.errors import InputError, MissingError
from contrapposto.files import disk_error, need_space, sha256

ATTEMPTS = 5
_BLOCK = 2**18
_TEMPORARY = {408, 425, 429, 500, 502, 503, 504}


def download(
    url: str,
    target: Path,
    *,
    digest: str | None = None,
    progress: Progress | None = None,
    attempts: int = ATTEMPTS,
    pause: float = 1.0,
    timeout: float = 30.0,
    by_hand: str = "use raw=",
) -> str:
    """Download `url` to `target`, going on where an earlier attempt or an earlier process stopped.

    A file that is there already is not downloaded again; its hash is still checked. Without a known `digest`, the hash
    of the first download is written beside it (`<target>.sha256`) and demanded of every later one.

    Args:
        url: http or https.
        target: the file; while incomplete, it is called `<target>.part`.
        digest: known SHA-256.
        progress: called with ("downloading <name>", bytes, total bytes or 0).
        attempts: connections before giving up; each that brought new bytes is free.
        pause: seconds before the second attempt, doubled each time.
        timeout: seconds without a byte after which a connection counts as dead.
        by_hand: what to do with a file that was downloaded by hand, for messages.

    Returns:
        The SHA-256 of the file.

    Raises:
        MissingError: it could not be fetched.
        InputError: the hash is wrong, or the disk is full.
    """
    if not url.startswith(("http://", "https://")):
        raise InputError(f"{url} cannot be downloaded.", expected="an http or https address")
    recorded = target.with_name(f"{target.name}.sha256")
    expected = digest or (recorded.read_text().strip() if recorded.is_file() else None)
    if not target.is_file():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _fetch(url, target, progress, attempts, pause, timeout, by_hand)
        except OSError as error:
            raise disk_error(target, error) from error
    matches = sha256(target)
    if expected and matches != expected:
        target.unlink()
        raise InputError(
            f"The download {url} is not the expected file; it was deleted.",
            found=f"SHA-256 {matches}",
            expected=f"SHA-256 {expected}",
            fix="repeat the command; if it fails again, the file has changed at its origin: get it by hand, "
            f"check it, and {by_hand}{'' if digest else f' (or delete {recorded})'}",
        )
    if not digest and not recorded.is_file():
        recorded.write_text(matches + "\n")
    return matches


def _fetch(
    url: str,
    target: Path,
    progress: Progress | None,
    attempts: int,
    pause: float,
    timeout: float,
    by_hand: str,
) -> None:
    part = target.with_name(f"{target.name}.part")
    failures, reason = 0, ""
    while failures < attempts:
        if failures:
            time.sleep(pause * 2 ** (failures - 1))
        before = part.stat().st_size if part.is_file() else 0
        try:
            if _fetch_rest(url, part, progress, timeout):
                part.replace(target)
                part.with_name(f"{part.name}.json").unlink(missing_ok=True)
                return
            reason = "the connection was cut"
        except urllib.error.HTTPError as error:
            reason = f"the server answers {error.code} {error.reason}"
            if error.code not in _TEMPORARY:
                break
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        grown = part.is_file() and part.stat().st_size > before
        failures = 1 if grown else failures + 1
    raise MissingError(
        f"{url} could not be downloaded.",
        found=reason,
        expected="a connection to this server",
        fix=f"repeat the command (it goes on where it stopped), or download the file by hand and {by_hand}",
    )


def _fetch_rest(url: str, part: Path, progress: Progress | None, timeout: float) -> bool:
    """One connection: append what is missing to `part`; True when the file is complete."""
    state_path = part.with_name(f"{part.name}.json")
    state = _state(state_path, url) if part.is_file() else {}
    have = part.stat().st_size if state else 0
    if state.get("total") and have == state["total"]:
        return True
    request = urllib.request.Request(
        url, headers={"User-Agent": "contrapposto", "Accept-Encoding": "identity"}
    )
    if have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", state["validator"])  # a file that changed meanwhile is sent whole
    with urllib.request.urlopen(request, timeout=timeout) as response:
        if response.status != 206 or not _continues(response, have):
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length and length.isdigit() else 0
        need_space(part, total - have, f"for the download {part.stem}")
        validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
        state_path.unlink(missing_ok=True)
        with open(part, "ab" if have else "wb") as file:
            if validator and not validator.startswith("W/"):  # without one, nothing can be resumed safely
                state_path.write_text(json.dumps({"url": url, "validator": validator, "total": total}))
            while block := response.read(_BLOCK):
                file.write(block)
                have += len(block)
                if progress:
                    progress(f"downloading {part.stem}", have, total)
    return have == total if total else True


def _continues(response: Any, have: int) -> bool:
    unit_and_range = response.headers.get("Content-Range", "")
    return bool(have) and unit_and_range.startswith(f"bytes {have}-")


def _state(path: Path, url: str) -> dict[str, Any]:
    try:
        state = json.loads(path.read_text())
        return state if state["url"] == url and isinstance(state["validator"], str) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
