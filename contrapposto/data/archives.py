"""Unpacking archives from elsewhere: everything is checked before the first byte is written."""

from __future__ import annotations

import gzip
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from contrapposto.errors import InputError
from contrapposto.files import disk_error, need_space

MAX_RATIO = 100
_SMALL = 64 * 2**20  # a ratio states nothing about small archives


@dataclass(frozen=True)
class Member:
    """A file in an archive: its name, its size when unpacked, what it is instead of a plain file if anything."""

    name: str
    size: int
    oddity: str = ""


def unpack(
    archive: Path,
    folder: Path,
    *,
    keep: Callable[[str], bool] = lambda name: True,
    max_bytes: int = 64 * 2**30,
) -> Path:
    """Unpack a zip or tar archive into `folder`, which appears when it is complete; one that is there is kept.

    Args:
        archive: .zip, .tar or a compressed .tar.
        folder: where to; its parent must be writable.
        keep: which members to unpack, by their names.
        max_bytes: limit of the unpacked size.

    Returns:
        `folder`.

    Raises:
        InputError: not an archive, damaged, a member that would be written elsewhere, links or devices, more than
            `max_bytes`, a compression ratio above 100, or no space.
    """
    if folder.is_dir():
        return folder
    temporary = folder.with_name(f"{folder.name}.part")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        with _Archive(archive) as opened:
            members = [member for member in opened.members() if keep(member.name)]
            _check(archive, members, max_bytes, temporary)
            temporary.mkdir(parents=True)
            for member in members:
                _write(opened.open(member.name), temporary / member.name, member.size)
        temporary.rename(folder)
    except (
        gzip.BadGzipFile,
        zipfile.BadZipFile,
        tarfile.TarError,
        EOFError,
        zlib.error,
        NotImplementedError,
        RuntimeError,
    ) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise InputError(
            f"The archive {archive} is damaged.",
            found=f"{type(error).__name__}: {error}",
            expected="a whole .zip or .tar archive",
            fix="delete it and download it again",
        ) from error
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise disk_error(folder, error) from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return folder


class _Archive:
    """Zip and tar archives behind the same three methods."""

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path) if zipfile.is_zipfile(path) else None
        self._tar = None if self._zip else tarfile.open(path)  # noqa: SIM115 (closed by __exit__)

    def members(self) -> list[Member]:
        if self._zip:
            return [_zip_member(info) for info in self._zip.infolist() if not info.is_dir()]
        assert self._tar is not None
        infos = self._tar.getmembers()
        while self._tar.fileobj is not None and self._tar.fileobj.read(2**20):
            pass  # the checksum of a .gz stands at its very end, behind what tarfile itself reads
        return [_tar_member(info) for info in infos if not info.isdir()]

    def open(self, name: str) -> IO[bytes]:
        if self._zip:
            return self._zip.open(name)
        assert self._tar is not None
        file = self._tar.extractfile(name)
        if file is None:
            raise tarfile.TarError(f"{name} cannot be read")
        return file

    def __enter__(self) -> _Archive:
        return self

    def __exit__(self, *_: object) -> None:
        for archive in (self._zip, self._tar):
            if archive is not None:
                archive.close()


def _zip_member(info: zipfile.ZipInfo) -> Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    return Member(info.filename, info.file_size, "" if kind in (0, stat.S_IFREG) else "a link or a device")


def _tar_member(info: tarfile.TarInfo) -> Member:
    return Member(info.name, info.size, "" if info.isreg() else "a link or a device")


def _check(archive: Path, members: list[Member], max_bytes: int, folder: Path) -> None:
    names: set[str] = set()
    for member in members:
        parts = PurePosixPath(member.name).parts
        outside = member.name.startswith("/") or ".." in parts or PureWindowsPath(member.name).drive
        oddity = member.oddity or ("outside of the folder" if outside or "\\" in member.name else "")
        oddity = oddity or ("there twice" if member.name.lower() in names else "")
        if oddity:
            raise InputError(
                f"The archive {archive} is not unpacked: a member is suspicious.",
                found=f"{member.name} is {oddity}",
                fix="do not use this archive",
            )
        names.add(member.name.lower())
    total = sum(member.size for member in members)
    ratio = total / max(archive.stat().st_size, 1)
    if total > max_bytes or (total > _SMALL and ratio > MAX_RATIO):
        raise InputError(
            f"The archive {archive} is not unpacked: it would become too large.",
            found=f"{total / 2**20:.0f} MiB, {ratio:.0f} times the archive",
            expected=f"at most {max_bytes / 2**20:.0f} MiB and {MAX_RATIO} times the archive",
        )
    need_space(folder, total, f"to unpack {archive}")


def _write(source: IO[bytes], target: Path, size: int) -> None:
    """Copy one member; no more than the archive's directory said it has."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, open(target, "xb") as file:
        left = size
        while left > 0 and (block := source.read(min(left, 2**20))):
            file.write(block)
            left -= len(block)
        if left or source.read(1):
            raise zipfile.BadZipFile(f"{target.name} has not the size that the archive states")
