"""CMU Graphics Lab Motion Capture Database: ASF/AMC clips, free for all uses."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

from contrapposto.data.archives import unpack
from contrapposto.data.download import download
from contrapposto.data.recipes.base import Discovery, Progress, Source, need_folder, suffix_of, walk
from contrapposto.data.recipes.labels import with_labels
from contrapposto.errors import ConfigError, InputError
from contrapposto.motion import Motion

URL = "http://mocap.cs.cmu.edu/allasfamc.zip"  # the one file that the database's FAQ asks to take, instead of crawling
RATE = 120.0
# AMC files do not say their rate. By the database's index, these subjects and one more clip are at 60 frames/s.
SLOW_SUBJECTS = frozenset({33, 34, 42, 60, 61, 62, 74, 75, 77, 79, 80, 87, 88, 89})
SLOW_CLIPS = frozenset({(136, 19)})
_NAME = re.compile(r"(\d+)_(\d+)\.amc", re.IGNORECASE)
_INDEX = {"subject", "trial #", "motion description"}


class CmuRecipe:
    """`02_01.amc` with `02.asf` beside it.

    Descriptions become labels if a table like CMU's index lies below the raw folder or is given: a .csv with the columns
    `Subject`, `Trial #`, `Motion Description` and, if known, `framerate`.

    Args:
        labels: path of such a table.
        url: where the archive is downloaded from when there is no `raw`.

    Raises:
        ConfigError: `labels` is not such a table.
    """

    name = "cmu"
    version = 1
    source = "CMU Graphics Lab Motion Capture Database, http://mocap.cs.cmu.edu"
    licence = (
        "free for research and commercial use; the data itself may not be resold, even in converted form"
    )
    attribution = "The data used in this project was obtained from mocap.cs.cmu.edu. "
    attribution += "The database was created with funding from NSF EIA-0196217."

    def __init__(self, labels: str | Path | None = None, url: str = URL) -> None:
        self.url = url
        self.downloads: dict[str, str] = {}
        self.index: dict[tuple[int, int], tuple[str, float | None]] = {}
        if labels is not None:
            matches = read_index(Path(labels))
            if matches is None:
                raise ConfigError(
                    f"{labels} is not a table of CMU clips.",
                    expected="a .csv file with the columns Subject, Trial # and Motion Description",
                )
            self.index = matches

    @property
    def options(self) -> dict[str, Any]:
        """Nothing but what stands with each clip."""
        return {}

    def obtain(self, raw: Path | None, downloads: Path, progress: Progress | None) -> Path:
        """`raw`, or the official archive (1.1 GB), unpacked."""
        if raw is not None:
            return need_folder(raw, self.name, "a folder with 02_01.amc, 02.asf and so on")
        archive = downloads / "allasfamc.zip"
        self.downloads[self.url] = download(self.url, archive, progress=progress)
        return unpack(
            archive, downloads / "files", keep=lambda name: name.lower().endswith((".amc", ".asf", ".csv"))
        )

    def discover(self, raw: Path) -> Discovery:
        """AMC files with their skeletons; the names do not depend on how the folders are arranged."""
        matches = Discovery()
        index = dict(self.index)
        clips: list[tuple[Path, re.Match[str] | None]] = []
        for path in walk(raw):
            suffix = path.suffix.lower()
            table = read_index(path) if suffix == ".csv" else None
            if suffix == ".amc":
                clips.append((path, _NAME.fullmatch(path.name)))
            elif table is not None:
                index = {**table, **index}
                matches.ignored["label files (used)"] += 1
            else:
                matches.ignored[
                    "skeletons (.asf, used)" if suffix == ".asf" else f"{suffix_of(path)} files"
                ] += 1
        for path, match in clips:
            matches.sources.append(_source(path, match, raw, index))
        return matches

    def frames(self, source: Source) -> int:
        """Lines that hold nothing but a frame number."""
        if len(source.paths) < 2:
            raise InputError("The skeleton of this clip is missing.", found="no .asf file beside it")
        data = source.paths[0].read_bytes()
        if not source.paths[1].read_bytes().lstrip().startswith((b"#", b":")) or b":" not in data[:4096]:
            raise InputError(
                f"{source.paths[0]} is not an Acclaim file.", expected="lines that begin with # or :"
            )
        return len(re.findall(rb"^[ \t]*\d+[ \t]*\r?$", data, re.MULTILINE))

    def read(self, source: Source) -> Motion:
        """Read with `contrapposto.io.asf_amc` and map to the SMPL-H skeleton."""
        from contrapposto.io.asf_amc import read_amc
        from contrapposto.retarget import to_smpl

        motion = read_amc(source.paths[0], source.paths[1], fps=source.parameters["fps"])
        return with_labels(to_smpl(motion), source.parameters)


def read_index(path: Path) -> dict[tuple[int, int], tuple[str, float | None]] | None:
    """(subject, trial) to description and frame rate, from a table like CMU's index; None if it is something else."""
    try:
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.DictReader(file)
            if not {(name or "").strip().lower() for name in reader.fieldnames or ()} >= _INDEX:
                return None
            rows = [{str(key).strip().lower(): value for key, value in row.items()} for row in reader]
    except (OSError, csv.Error):
        return None
    index: dict[tuple[int, int], tuple[str, float | None]] = {}
    for row in rows:
        try:
            rate = float(row["framerate"]) if row.get("framerate") else None
            index[int(row["subject"]), int(row["trial #"])] = (
                (row["motion description"] or "").strip(),
                rate,
            )
        except (TypeError, ValueError):
            continue  # remarks between the rows
    return index


def _source(
    path: Path, match: re.Match[str] | None, raw: Path, index: dict[tuple[int, int], tuple[str, float | None]]
) -> Source:
    if match is None:
        skeletons = sorted(path.parent.glob("*.asf"))
        paths = (path, *skeletons[:1]) if len(skeletons) == 1 else (path,)
        return Source(path.relative_to(raw).as_posix(), paths, {"fps": RATE})
    subject, trial = int(match[1]), int(match[2])
    description, rate = index.get((subject, trial), ("", None))
    slow = subject in SLOW_SUBJECTS or (subject, trial) in SLOW_CLIPS
    metadata: dict[str, Any] = {"fps": rate or (RATE / 2 if slow else RATE), "subject": f"{subject:02d}"}
    if description:
        metadata["labels"] = [[description, 0.0, None]]
    skeleton = next(
        (p for p in (path.with_name(f"{match[1]}.asf"), path.with_name(f"{match[1]}.ASF")) if p.is_file()),
        None,
    )
    return Source(
        f"{subject:02d}/{subject:02d}_{trial:02d}.amc", (path, *([skeleton] if skeleton else [])), metadata
    )
