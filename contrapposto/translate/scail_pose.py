"""Commands of SCAIL-Pose (docs/specs/scail_pose.md, sections 2 and 10)."""

from __future__ import annotations

from collections.abc import Sequence

from contrapposto.translate.grammar import MANY, Arguments, Command, Option, Translation, unused, used

_FILES = {"yolox_l.onnx": "yolox", "dw-ll_ucoco_384.onnx": "dwpose", "nlf_l_multi": "nlf"}
_REPOSITORY = "yzd-v/dwpose"


def download(words: Sequence[str]) -> Translation | None:
    """The translation of a download of weights (wget, curl, hf, git clone); None for another command."""
    line = " ".join(words).lower()
    names = [name for file, name in _FILES.items() if file in line]
    if not names and _REPOSITORY in line:
        names = ["yolox", "dwpose"]
    if not names:
        return None
    command = f"contrapposto fetch scail-weights only=[{','.join(names)}]"
    note = "Without only= all three are fetched. They go to pretrained_weights/; folder= names another."
    return Translation("SCAIL-Pose", (command,), notes=(note,))


def _process(arguments: Arguments) -> list[list[str]]:
    folder = arguments.get("subdir", "FOLDER")
    words = ["contrapposto", "predict", "task=scail_pose", f"video={folder}", f"output={folder}"]
    if not arguments.has("use_align"):
        words.append("task.module.align=null")
    return [words]


def _process_multi(arguments: Arguments) -> list[list[str]]:
    folder = arguments.get("subdir", "FOLDER")
    words = ["contrapposto", "predict", "task=scail_pose", f"video={folder}", f"output={folder}"]
    return [[*words, "task.module.people=all", "task.module.align=null"]]


def _serve(_: Arguments) -> list[list[str]]:
    return [["contrapposto", "serve"]]


_RESOLUTION = Option("task.data.resolution={}", count=MANY)
COMMANDS = (
    Command(
        "SCAIL-Pose",
        "process_pose.py",
        {"subdir": used(), "resolution": _RESOLUTION, "use_align": used(0)},
        _process,
        (
            "It uses the original's weights if they lie in pretrained_weights/, otherwise the estimator that ships.",
            "task.module.original=true repeats the original's choices exactly.",
        ),
    ),
    Command(
        "SCAIL-Pose",
        "process_pose_multi.py",
        {"subdir": used(), "resolution": _RESOLUTION, "use_align": unused("the original ignores it here", 0)},
        _process_multi,
        ("SAM 2 is not needed: people are tracked by their keypoints.",),
    ),
    Command(
        "SCAIL-Pose",
        "process_pose_universal_api.py",
        {"host": Option("--host {}"), "port": Option("--port {}")},
        _serve,
        ("docs/service.md lists the requests; MODEL_PATH and EXAMPLES_DIR are read as in the original.",),
    ),
)
