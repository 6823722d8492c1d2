from __future__ import annotations

import hashlib
import io
import os
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from contrapposto.data.archives import unpack
from contrapposto.data.download import download
from contrapposto.errors import InputError, MissingError

CONTENT = np.random.default_rng(0).bytes(3_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def url(server) -> str:
    (server.root / "file.zip").write_bytes(CONTENT)
    return f"{server.url}/file.zip"


def left_over(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_download_is_whole_and_not_repeated(server, url: str, tmp_path: Path) -> None:
    target, seen = tmp_path / "d" / "file.zip", []
    assert download(url, target, progress=lambda *metadata: seen.append(metadata)) == DIGEST
    assert target.read_bytes() == CONTENT
    assert seen[-1] == ("downloading file.zip", len(CONTENT), len(CONTENT))
    assert download(url, target, digest=DIGEST) == DIGEST and len(server.requests) == 1
    assert left_over(target.parent) == {"file.zip", "file.zip.sha256"}


def test_cut_connections_are_resumed(server, url: str, tmp_path: Path) -> None:
    server.cut_after, server.cuts = 700_000, 3
    download(url, tmp_path / "file.zip", digest=DIGEST, pause=0.001)
    assert [wanted for _, wanted in server.requests] == [
        None,
        "bytes=700000-",
        "bytes=1400000-",
        "bytes=2100000-",
    ]
    assert left_over(tmp_path) == {"www", "file.zip"}


def test_another_process_goes_on(server, url: str, tmp_path: Path) -> None:
    server.cut_after, server.cuts = 700_000, 1000
    server.answers = []
    script = "import sys; from pathlib import Path; from contrapposto.data.download import download\n"
    script += "download(sys.argv[1], Path(sys.argv[2]), pause=60)"
    process = subprocess.Popen([sys.executable, "-c", script, url, str(tmp_path / "file.zip")])
    part = tmp_path / "file.zip.part"
    deadline = time.monotonic() + 60
    while not (part.is_file() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    have = part.stat().st_size
    server.cuts = 0
    download(url, tmp_path / "file.zip", digest=DIGEST)
    assert have and server.requests[-1][1] == f"bytes={have}-"


def test_a_file_that_changed_meanwhile_starts_again(server, url: str, tmp_path: Path) -> None:
    server.cut_after, server.cuts = 700_000, 1
    with pytest.raises(MissingError):
        download(url, tmp_path / "file.zip", attempts=1)
    changed = CONTENT[::-1]
    (server.root / "file.zip").write_bytes(changed)
    os.utime(server.root / "file.zip", (1, 1))
    assert download(url, tmp_path / "file.zip") == hashlib.sha256(changed).hexdigest()


def test_a_server_without_ranges(server, url: str, tmp_path: Path) -> None:
    server.ranges, server.cut_after, server.cuts = False, 700_000, 2
    assert download(url, tmp_path / "file.zip", digest=DIGEST, pause=0.001) == DIGEST


def test_busy_servers_are_asked_again_others_not(server, url: str, tmp_path: Path) -> None:
    server.answers = [503, 429]
    assert download(url, tmp_path / "file.zip", pause=0.001) == DIGEST
    with pytest.raises(MissingError, match="404"):
        download(f"{server.url}/none.zip", tmp_path / "none.zip", pause=0.001)
    assert len(server.requests) == 4
    assert "none.zip" not in left_over(tmp_path)


def test_wrong_hashes(server, url: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not the expected file"):
        download(url, tmp_path / "file.zip", digest="0" * 64)
    assert left_over(tmp_path) == {"www"}
    download(url, tmp_path / "file.zip")
    (tmp_path / "file.zip").unlink()
    (server.root / "file.zip").write_bytes(CONTENT[:-1])
    with pytest.raises(InputError, match="not the expected file") as caught:
        download(url, tmp_path / "file.zip")
    assert DIGEST in caught.value.expected


def test_no_network_is_one_clear_error(server, url: str, tmp_path: Path) -> None:
    server.close()
    with pytest.raises(MissingError, match="could not be downloaded") as caught:
        download(url, tmp_path / "file.zip", attempts=2, pause=0.001)
    assert "raw=" in caught.value.fix and "refused" in caught.value.found
    with pytest.raises(MissingError, match="could not be downloaded"):
        download("http://no-such-host.invalid/x.zip", tmp_path / "x.zip", attempts=1)
    with pytest.raises(InputError, match="http"):
        download("file:///etc/hostname", tmp_path / "x.zip")
    assert left_over(tmp_path) == {"www"}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_unpack(tmp_path: Path, kind: str) -> None:
    files = {"a/b.txt": b"hello", "a/c.bin": CONTENT[:5000], "d.gif": b"x"}
    archive = make(tmp_path / f"archive.{kind}", files, kind)
    folder = unpack(archive, tmp_path / "out", keep=lambda name: not name.endswith(".gif"))
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert found == {name: data for name, data in files.items() if name != "d.gif"}
    archive.unlink()
    assert unpack(archive, tmp_path / "out") == folder, "what is unpacked is kept"
    assert left_over(tmp_path) == {"out"}


def make(path: Path, files: dict[str, bytes], kind: str) -> Path:
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    else:
        with tarfile.open(path, "w:gz") as tar:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "C:/evil", "a\\..\\evil"])
def test_members_outside_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    archive = make(tmp_path / "archive", {"good": b"1", name: b"2"}, kind)
    with pytest.raises(InputError, match="suspicious"):
        unpack(archive, tmp_path / "deep" / "out")
    assert left_over(tmp_path) == {"archive"}


def test_links_and_twins_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with tarfile.open(tmp_path / "link.tar", "w") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    make(tmp_path / "twins.zip", {"a.txt": b"1", "A.TXT": b"2"}, "zip")
    for name in ("link.zip", "link.tar", "twins.zip"):
        with pytest.raises(InputError, match="suspicious"):
            unpack(tmp_path / name, tmp_path / "out")
    assert "out" not in left_over(tmp_path)


def test_bombs_are_refused(tmp_path: Path) -> None:
    bomb = make(tmp_path / "bomb.zip", {"zeros": bytes(100 * 2**20)}, "zip")
    with pytest.raises(InputError, match="too large"):
        unpack(bomb, tmp_path / "out")
    large = make(tmp_path / "large.zip", {"noise": CONTENT}, "zip")
    with pytest.raises(InputError, match="too large"):
        unpack(large, tmp_path / "out", max_bytes=1_000_000)
    assert left_over(tmp_path) == {"bomb.zip", "large.zip"}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_damaged_archives(tmp_path: Path, kind: str) -> None:
    whole = make(tmp_path / "whole", {"a": CONTENT[:100_000], "b": b"2"}, kind).read_bytes()
    flipped = bytearray(whole)
    flipped[50_000] ^= 255
    for data in (whole[:50_000], bytes(flipped), b"", b"<html>not found</html>"):
        (tmp_path / "archive").write_bytes(data)
        with pytest.raises(InputError, match="damaged"):
            unpack(tmp_path / "archive", tmp_path / "out")
        assert left_over(tmp_path) == {"whole", "archive"}
