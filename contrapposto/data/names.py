"""Names of clips: paths inside a corpus, the same on every machine and for every alias of a subset."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

# canonical name: other names under which archives, older releases and split lists know the same subset
_ALIASES: dict[str, tuple[str, ...]] = {
    "ACCAD": (),
    "BMLhandball": (),
    "BMLmovi": ("BMLmovie",),
    "BMLrub": ("BioMotionLab_NTroje",),
    "CMU": (),
    "CNRS": (),
    "DanceDB": (),
    "DFaust": ("DFaust_67", "DFaust67", "DFAUST"),
    "EKUT": (),
    "Eyes_Japan_Dataset": ("Eyes_Japan", "EyesJapanDataset"),
    "GRAB": (),
    "HDM05": ("MPI_HDM05",),
    "HUMAN4D": ("Human4D",),
    "HumanEva": (),
    "KIT": (),
    "MoSh": ("MPI_mosh", "MPI_MoSh"),
    "PosePrior": ("MPI_Limits",),
    "SFU": (),
    "SOMA": (),
    "SSM": ("SSM_synced",),
    "TCDHands": ("TCD_handMocap", "TCDhandMocap", "TCDHandMocap"),
    "TotalCapture": (),
    "Transitions": ("Transitions_mocap", "Transitions_moc"),
    "WEIZMANN": ("Weizmann",),
}
SUBSETS: dict[str, str] = {
    name: canonical for canonical, aliases in _ALIASES.items() for name in (canonical, *aliases)
}
"""Every known name of an AMASS subset to its canonical one."""


def canonical_name(path: Path, raw: Path) -> str:
    """The name of a file in a store: from the canonical name of its subset on, else relative to `raw`.

    `AMASS/CMU/CMU/01/01_01_poses.npz`, `CMU/01/01_01_poses.npz` below any folder, and `01/01_01_poses.npz` in
    a raw folder called `CMU` all give `CMU/01/01_01_poses.npz`.
    """
    parts = path.relative_to(raw).parts
    known = [index for index, part in enumerate(parts[:-1]) if part in SUBSETS]
    if known:
        return "/".join((SUBSETS[parts[known[-1]]], *parts[known[-1] + 1 :]))
    if raw.name in SUBSETS:
        return "/".join((SUBSETS[raw.name], *parts))
    return "/".join(parts)


def subset_of(name: str) -> str:
    """First part of a name that has several, else an empty text."""
    return name.split("/")[0] if "/" in name else ""


def comparable(name: str) -> str:
    """The form in which names of stores and lines of split lists are compared.

    Subset aliases are resolved; the ending (`_poses.npz`, `_stageii.npz`, `.npz`, `.bvh`, ...) is dropped and
    blanks count as underscores, because the releases of AMASS differ in both.
    """
    name = name.strip().replace("\\", "/").removeprefix("./")
    parts = [part for part in name.split("/") if part]
    known = [index for index, part in enumerate(parts[:-1]) if part in SUBSETS]
    if known:
        parts = [SUBSETS[parts[known[-1]]], *parts[known[-1] + 1 :]]
    path = PurePosixPath("/".join(parts))
    if path.suffix.lower() in (".npz", ".bvh", ".amc", ".npy", ".pkl"):
        path = path.with_suffix("")
    text = str(path)
    for ending in ("_poses", "_stageii"):
        text = text.removesuffix(ending)
    return text.replace(" ", "_")
