"""Tasks that join systems: a seen person as motion, a motion as trackers, a motion against the truth."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from contrapposto.errors import ConfigError, InputError
from contrapposto.files import atomic_path, write_json
from contrapposto.io.amass import GENDERS
from contrapposto.motion import Motion
from contrapposto.outputs import free_stem
from contrapposto.retarget.names import written_name
from contrapposto.skeleton import SMPL22
from contrapposto.tasks.base import FORMATS, endings, read_clip, write_formats

_LEAST = 5  # frames that a comparison needs: jitter is a third difference


class Convert:
    """Read a motion file of any known format and write it in others, on the SMPL-H skeleton.

    Args:
        formats: of npz (AMASS layout), bvh, glb (skinned), mp4 (video), pkl (SAGE's layout).
        fps: resample to this frame rate; None keeps the file's.
        names: of the joints in BVH and GLB files: smplh, smpl, mixamo or vrm.
        start: seconds of the file to leave out.
        seconds: no more than this; None: to its end.
        texture: image for the figure in the GLB file (`contrapposto.mesh.painted`).
        uv: OBJ with the layout of the texture, or `makehuman`; None: front in its left half, back in its right half.
        gender: of the figure: male, female or neutral of the official bodies; None: the clip's.

    Raises:
        ConfigError: no such names or gender, or a texture without a GLB file.
    """

    def __init__(
        self,
        formats: Sequence[str] = FORMATS,
        fps: float | None = None,
        names: str = "smplh",
        start: float = 0.0,
        seconds: float | None = None,
        texture: str | None = None,
        uv: str | None = None,
        gender: str | None = None,
    ) -> None:
        written_name("pelvis", names)
        if gender is not None and gender not in GENDERS:
            raise ConfigError(f"There is no gender {gender!r}.", expected=", ".join(GENDERS))
        if (texture is not None and "glb" not in formats) or (uv is not None and texture is None):
            raise ConfigError(
                "Nothing would show the texture." if texture else "task.uv has no texture.",
                expected="task.texture=IMAGE, and glb among task.formats",
            )
        self.texture = None if texture is None else (Path(texture), None if uv is None else Path(uv))
        self.gender = gender
        self.formats, self.fps, self.names = list(formats), fps, names
        self.start, self.seconds = start, seconds

    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Convert `source` into files in `output`."""
        motion = read_clip(source)
        stem = free_stem(output / source.stem, endings(self.formats), "smplh")
        if self.start or self.seconds is not None:
            length = motion.num_frames / motion.fps if self.seconds is None else self.seconds
            motion = motion.trim(self.start, self.start + length)
        motion = motion.resample(self.fps) if self.fps else motion
        motion = replace(motion, gender=self.gender) if self.gender else motion
        return write_formats(motion, stem, self.formats, self.names, self.texture)


class PeopleMotion:
    """One of the people in a clip as motion of the figure.

    Args:
        person: `longest`, or the number of a person.
        formats: see `Convert`; all are called `motion`.
    """

    def __init__(self, person: str | int = "longest", formats: Sequence[str] = FORMATS) -> None:
        if person != "longest" and type(person) is not int:
            raise ConfigError(f"person={person} cannot be used.", expected="longest, or a number")
        self.person, self.formats = person, list(formats)

    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Write the motion of `source`, a motion.npz of task=scail_pose or joints (`.npy`), into `output`."""
        stem = free_stem(output / "motion", endings(self.formats), "smplh")
        motions = self._motions(source, config.get("fps"))
        if not motions:
            raise InputError(f"{source.name} shows nobody whose shoulders are known.")
        number = self.person
        if number == "longest":
            number = max(motions, key=lambda person: motions[person].num_frames)
        if number not in motions:
            people = ", ".join(map(str, motions))
            raise InputError(f"There is no person {number}.", expected=f"longest, or one of {people}")
        motion = motions[int(number)]
        print(f"person {number} of {len(motions)}: {motion.duration:.1f} s")
        return write_formats(motion, stem, self.formats)

    def _motions(self, source: Path, fps: float | None) -> dict[int, Motion]:
        if source.suffix.lower() == ".npy":
            from contrapposto.systems.scail_pose.joint_arrays import joint_motions

            return joint_motions(source, fps)
        from contrapposto.systems.scail_pose.body_fit import clip_motions
        from contrapposto.systems.scail_pose.interchange import read_clip_people

        return clip_motions(read_clip_people(source))


class Trackers:
    """Poses of head and hands of a motion, as a headset and two controllers would record them.

    Args:
        fps: of the recording.
        noise: standard deviation of the positions, metres.
        seed: of the noise.
    """

    def __init__(self, fps: float = 60, noise: float = 0.0, seed: int = 0) -> None:
        if fps <= 0 or noise < 0:
            raise ConfigError(
                f"fps={fps}, noise={noise} cannot be used.", expected="fps above 0, noise of at least 0"
            )
        self.fps, self.noise, self.seed = fps, noise, seed

    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Write `trackers.csv`, and the motion it was taken from, into `output`."""
        from contrapposto.io import write_motion
        from contrapposto.io.device_csv import write_csv
        from contrapposto.io.devices import devices_of

        table, clip = (
            free_stem(output / "trackers", [".csv"]),
            free_stem(output / "motion", [".npz"], "smplh"),
        )
        motion = read_clip(source).resample(self.fps)
        track = devices_of(motion)
        if self.noise:
            shake = np.random.default_rng(self.seed).normal(0, self.noise, tuple(track.positions.shape))
            track = replace(track, positions=track.positions + torch.from_numpy(shake))
        return [
            write_csv(table.with_name(f"{table.name}.csv"), track),
            write_motion(clip.with_name(f"{clip.name}.npz"), motion),
        ]


class MotionError:
    """How far a motion is from the true one.

    Args:
        video: whether to draw both side by side.
    """

    def __init__(self, video: bool = True) -> None:
        self.video = video

    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Compare `source` with `truth=` into error.json, error.csv, error.png and error.mp4 in `output`."""
        if not config.truth:
            raise ConfigError("No truth given.", expected="truth=FILE")
        stem = free_stem(output / "error", [".json", ".csv", ".png", ".mp4"])
        motion, whole = read_clip(source), read_clip(Path(config.truth))
        start = float(motion.metadata.get("start", 0.0))
        times = start + np.arange(motion.num_frames) / motion.fps
        times = times[times <= whole.duration + 0.5 / motion.fps]
        if len(times) < _LEAST:
            raise InputError(
                "The two clips hardly have a time in common.",
                found=f"{len(times)} frames after {start:g} s",
                expected=f"at least {_LEAST}",
            )
        motion, truth = motion.frames(0, len(times)), whole.at_times(times, motion.fps)
        values, errors = compare_motions(motion, truth)
        print("\n".join(f"  {name:<16}{value:10.3f}" for name, value in values.items()))
        paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("json", "csv", "png")]
        write_json(
            paths[0],
            {"units": UNITS, "metrics": values, "joints": dict(zip(SMPL22.joint_names, errors.mean(0)))},
        )
        _write_table(paths[1], errors, motion.fps)
        _plot(paths[2], errors, motion.fps)
        return [*paths, _draw(stem.with_name(f"{stem.name}.mp4"), truth, motion)] if self.video else paths


UNITS = {
    **{name: "cm" for name in ("mpjpe", "pa_mpjpe", "hand", "upper", "lower", "root")},
    **{"mpjre": "deg", "mpjre_geodesic": "deg", "mpjve": "cm/s", "jitter": "m/s^3", "true_jitter": "m/s^3"},
}


@torch.no_grad()
def compare_motions(motion: Motion, truth: Motion) -> tuple[dict[str, float], np.ndarray]:
    """Metrics as evaluate.py has them, and the distance of every joint in every frame (F, 22) in centimetres.

    Args:
        motion, truth: clips of the SMPL family with as many frames and the same rate.
    """
    from contrapposto.metrics import MPJPE, MPJRE, MPJVE, PAMPJPE, Jitter

    pair = [clip.to_skeleton(SMPL22) for clip in (motion, truth)]
    joints = [torch.from_numpy(clip.joint_positions()) for clip in pair]
    turns = [clip.local_matrices() for clip in pair]
    fps = motion.fps
    positions = {
        **{"mpjpe": MPJPE(), "pa_mpjpe": PAMPJPE()},
        **{name: MPJPE(joints=group) for name, group in _GROUPS.items()},
    }
    matches: dict[str, Any] = {name: metric(*joints) for name, metric in positions.items()}
    matches["mpjve"] = MPJVE()(*joints, fps)
    matches["mpjre"] = MPJRE(kind="component")(*turns)
    matches["mpjre_geodesic"] = MPJRE(kind="geodesic")(*turns)
    matches["jitter"], matches["true_jitter"] = (Jitter()(clip, fps) for clip in joints)
    errors = 100 * (joints[0] - joints[1]).norm(dim=-1)
    return {name: float(value) for name, value in matches.items()}, errors.double().numpy()


_GROUPS = {"hand": "hands", "upper": "upper", "lower": "lower", "root": "root"}


def _write_table(path: Path, errors: np.ndarray, fps: float) -> None:
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["seconds", *SMPL22.joint_names])
        writer.writerows(
            [f"{number / fps:.4f}", *(f"{value:.3f}" for value in row)] for number, row in enumerate(errors)
        )


def _plot(path: Path, errors: np.ndarray, fps: float) -> None:
    """The mean error over time, and of every joint."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (over, by) = plt.subplots(1, 2, figsize=(11, 3.6), width_ratios=(1, 1.2))
    seconds = np.arange(len(errors)) / fps
    over.fill_between(
        seconds, errors.min(1), errors.max(1), color="#2f6f8f", alpha=0.15, label="best to worst joint"
    )
    over.plot(seconds, errors.mean(1), color="#2f6f8f", label="mean of all joints")
    over.set(xlabel="seconds", ylabel="error, cm", ylim=(0, None))
    over.legend(fontsize=8, frameon=False)
    means = errors.mean(0)
    by.bar(range(len(means)), means, color="#c2582b")
    by.set_xticks(
        range(len(means)),
        [n.replace("_", " ") for n in SMPL22.joint_names],
        rotation=60,
        ha="right",
        fontsize=8,
    )
    by.set(ylabel="mean error, cm")
    for axis in (over, by):
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3, axis="y")
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)


def _draw(path: Path, truth: Motion, motion: Motion) -> Path:
    from contrapposto.io.devices import devices_of
    from contrapposto.render import render_motion_video
    from contrapposto.systems.sage.device_marks import tracker_marks

    marks = tracker_marks(devices_of(truth))
    return render_motion_video(
        path, {"truth": truth, "found": motion}, camera="follow", extras=marks, progress=True
    )
