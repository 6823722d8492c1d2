"""Bandai-Namco-Research-Motiondataset: BVH clips of contents in styles; CC BY-NC 4.0."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from contrapposto.data.archives import unpack
from contrapposto.data.download import download
from contrapposto.data.recipes.base import Discovery, Progress, Source, need_folder, suffix_of, walk
from contrapposto.data.recipes.labels import with_labels
from contrapposto.errors import InputError
from contrapposto.files import sha256
from contrapposto.motion import Motion

COMMIT = "74ead3ba1ae4696404e6086233779f60de8bf9ef"
URL = f"https://github.com/BandaiNamcoResearchInc/Bandai-Namco-Research-Motiondataset/archive/{COMMIT}.zip"
# of some files of that commit, to notice a download that is something else
KNOWN = {
    "dataset-1_bow_normal_001.bvh": "4e390b9c92caf7bb92b49bb0b5df72cf6e9f48900656b55a100a77b6bab0946b",
    "dataset-1_dance-short_normal_001.bvh": "a9bef1cd697e4274bc1e773c2eb30f9b2c525f1fd57deaf788a6f63ce87fa63f",
    "dataset-1_kick_normal_001.bvh": "1194a1dae534ee065d4e6eed68c21d7437b1bb81d15754bcabef32185b200911",
    "dataset-1_walk_normal_001.bvh": "5764cebc2fedabf287880a7f25cb06753e1679675a02a6f033998de041ba8032",
    "dataset-2_raise-up-both-hands_normal_001.bvh": "62bc5c25c25dee38b70b0a7cfefbd88b1928578bf385f374651bd0c22c23b31a",
    "dataset-2_walk-turn-left_active_001.bvh": "126ea408934e6d635fb50ffd02a763019b0bf89770243e17b4efa9c3d2253436",
}
_NAME = re.compile(r"(dataset-\d+)_([^_]+)_([^_]+)_(\d+)\.bvh", re.IGNORECASE)


class BandaiRecipe:
    """`dataset-1_walk-turn-left_active_001.bvh`: content and style become label and style.

    Args:
        url: where the repository's archive is downloaded from when there is no `raw`.
    """

    name = "bandai"
    version = 1
    source = "Bandai-Namco-Research-Motiondataset 1 and 2, https://github.com/BandaiNamcoResearchInc"
    licence = "CC BY-NC 4.0, https://creativecommons.org/licenses/by-nc/4.0/: non-commercial use only"
    attribution = (
        "Bandai Namco Research Inc.; Kobayashi et al., Motion Capture Dataset for Practical Use of AI-based "
    )
    attribution += "Motion Editing and Stylization, arXiv:2306.08861, 2023"

    def __init__(self, url: str = URL) -> None:
        self.url = url
        self.downloads: dict[str, str] = {}

    @property
    def options(self) -> dict[str, Any]:
        """Nothing changes the store."""
        return {}

    def obtain(self, raw: Path | None, downloads: Path, progress: Progress | None) -> Path:
        """`raw`, or the official archive, unpacked; the files whose hashes are known are checked."""
        if raw is not None:
            return need_folder(raw, self.name, "a folder with dataset-1_..._001.bvh files")
        archive = downloads / "archive.zip"
        self.downloads[self.url] = download(self.url, archive, progress=progress)
        folder = unpack(
            archive, downloads / "files", keep=lambda name: name.endswith((".bvh", "LICENSE", "data.zip"))
        )
        for nested in sorted(
            folder.rglob("data.zip")
        ):  # some commits keep the clips in archives of their own
            unpack(nested, nested.with_name("data"), keep=lambda name: name.endswith(".bvh"))
        _verify(folder)
        return folder

    def discover(self, raw: Path) -> Discovery:
        """BVH files with names of this corpus."""
        matches = Discovery()
        for path in walk(raw):
            match = _NAME.fullmatch(path.name)
            if match is None:
                kind = (
                    ".bvh files of other names"
                    if path.suffix.lower() == ".bvh"
                    else f"{suffix_of(path)} files"
                )
                matches.ignored[kind] += 1
                continue
            text = match[2].replace("-", " ")
            metadata = {"labels": [[text, 0.0, None]], "style": match[3], "subset": match[1].lower()}
            matches.sources.append(Source(f"{match[1].lower()}/{path.name}", (path,), metadata))
        return matches

    def frames(self, source: Source) -> int:
        """The number after `Frames:`."""
        return bvh_frames(source.paths[0])

    def read(self, source: Source) -> Motion:
        """Read with `contrapposto.io.bvh` and map to the SMPL-H skeleton."""
        from contrapposto.io.bvh import read_bvh
        from contrapposto.retarget import to_smpl

        return with_labels(to_smpl(read_bvh(source.paths[0])), source.parameters)


def bvh_frames(path: Path) -> int:
    """The number of frames that the header of a BVH file states.

    Raises:
        InputError: it states none.
    """
    with open(path, "rb") as file:
        head = file.read(2**20)
    match = re.search(rb"^\s*Frames:\s*(\d{1,9})\s*$", head, re.MULTILINE)
    if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"HIERARCHY") or match is None:
        raise InputError(f"{path} is not a BVH file.", expected="HIERARCHY, then MOTION with Frames:")
    return int(match[1])


def _verify(folder: Path) -> None:
    for path in sorted(folder.rglob("*.bvh")):
        expected = KNOWN.get(path.name)
        if expected and sha256(path) != expected:
            raise InputError(
                f"The download holds another version of {path.name}.",
                found=f"SHA-256 {sha256(path)}",
                expected=f"SHA-256 {expected}",
                fix=f"delete {folder} and its archive, and repeat the command; or get the files by hand and use raw=",
            )
