"""How well generated motion meets constraints: python benchmarks/posegpt_constraints.py STORE MODEL

Constraints are those of real motion: of windows of the store's test clips with an action that the model knows. The model
generates the same action and has to follow the path of the pelvis through five points, or to put both wrists where they were
at two times, or to end in the window's last pose. Errors are measured after the default post-processing.

Options: windows=12, frames=90, seed=0.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np

from contrapposto.data.store import MotionStore
from contrapposto.motion import Motion
from contrapposto.systems.posegpt.constraints import Constraints, Keyframe, keyframe_errors, path_error
from contrapposto.systems.posegpt.generator import MotionGenerator
from contrapposto.systems.posegpt.poses import FPS, face_forward, from_motion, to_motion
from contrapposto.systems.posegpt.quality import mean_figures
from contrapposto.systems.posegpt.token_sampling import USUAL
from datamodules.splitting import split_clips

POINTS = 5


def windows(
    store: MotionStore, generator: MotionGenerator, options: dict[str, int]
) -> list[tuple[str, Motion]]:
    """Actions and windows of test clips that begin at the origin and look along -y; of every action as many if possible."""
    split = split_clips(store, test_share=0.1, val_share=0.05)
    clips: dict[str, list[Motion]] = {}
    for number in split.test:
        for label in store.clips[number].labels:
            if label.text in generator.vocabulary and (label.end - label.start) * FPS >= options["frames"]:
                clip = store[number].trim(label.start, label.end).resample(FPS).frames(0, options["frames"])
                pose = face_forward(from_motion(clip, generator.skeleton, height="floor"))[0]
                own = to_motion(pose, generator.skeleton, height="floor")
                action = generator.vocabulary.names[generator.vocabulary.index(label.text)]
                clips.setdefault(action, []).append(own)
    ordered = [
        (action, some[turn]) for turn in range(99) for action, some in clips.items() if turn < len(some)
    ]
    return ordered[: options["windows"]]


def main(arguments: list[str]) -> int:
    """Print the table."""
    options = {"windows": 12, "frames": 90, "seed": 0}
    options.update({k: int(v) for k, v in (a.split("=") for a in arguments if "=" in a)})
    places = [argument for argument in arguments if "=" not in argument]
    if len(places) != 2:
        print(__doc__)
        return 2
    store, generator = MotionStore.open(places[0]), MotionGenerator.from_pretrained(places[1])
    errors: dict[str, list[float]] = {"path": [], "keyframe": [], "end pose": []}
    results: dict[str, list[Motion]] = {name: [] for name in errors}
    for action, real in windows(store, generator, options):
        joints = real.joint_positions()
        rows = np.linspace(0, len(joints) - 1, POINTS).astype(int)
        path = joints[rows, 0, :2].tolist()
        keys = [
            Keyframe(
                frame,
                f"{side}_wrist",
                tuple(joints[frame, real.skeleton.index(f"{side}_wrist")].ravel().tolist()),
            )
            for frame in (len(joints) // 2, len(joints) - 10)
            for side in ("left", "right")
        ]
        last = real.frames(len(joints) - 1, len(joints))
        for name, wanted in (
            ("path", Constraints(path=path)),
            ("keyframe", Constraints(keyframes=keys)),
            ("end pose", Constraints(future=last)),
        ):
            draw = replace(USUAL, seed=options["seed"])
            (clip,) = generator.generate([action], len(joints), draw=draw, constraints=wanted).motions
            results[name].append(clip)
            if name == "path":
                errors[name].append(path_error(clip, path))
            elif name == "keyframe":
                errors[name] += keyframe_errors(clip, keys)
            else:
                ends = [shape(motion) for motion in (clip, last)]
                errors[name].append(float(np.linalg.norm(ends[0] - ends[1], axis=-1).mean()))
        print(action, {name: f"{100 * values[-1]:.1f}" for name, values in errors.items()}, flush=True)
    print("\n| constraint | cases | mean, cm | median | 90 % | jerk | slide |\n|---|---|---|---|---|---|---|")
    for name, values in errors.items():
        numbers = 100 * np.array(values)
        figures = mean_figures(results[name])
        cells = [len(numbers), numbers.mean(), np.median(numbers), np.quantile(numbers, 0.9)]
        print(f"| {name} | {cells[0]} | " + " | ".join(f"{c:.1f}" for c in cells[1:]), end="")
        print(f" | {figures['jerk']:.2f} | {figures['slide']:.1f} |")
    return 0


def shape(motion: Motion) -> np.ndarray:
    """(22, 3) joints of the last pose around the root, its heading taken off."""
    own = motion.frames(motion.num_frames - 1, motion.num_frames)
    pose = face_forward(from_motion(own, height="floor"))[0]
    turned = to_motion(pose, height="floor")
    joints = replace(turned, root_translation=own.root_translation * [0, 0, 1]).joint_positions()
    result: np.ndarray = joints[0, :22]
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
