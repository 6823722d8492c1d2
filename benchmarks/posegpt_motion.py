"""What generated motion looks like in numbers, beside real motion: python benchmarks/posegpt_motion.py STORE MODEL ...

One row per source: real windows of the store, then every model (what `MotionGenerator.from_pretrained` reads) as
it generates and after the default post-processing. Every action that all models and the store know counts alike.

Options: count=4 (clips per action), frames=60, seed=0, top_p=0.95.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np

from contrapposto.data.store import MotionStore
from contrapposto.motion import Motion
from contrapposto.systems.posegpt.cleanup import Cleanup
from contrapposto.systems.posegpt.generator import MotionGenerator
from contrapposto.systems.posegpt.poses import FPS
from contrapposto.systems.posegpt.quality import kept_by_action, mean_figures
from contrapposto.systems.posegpt.token_sampling import USUAL

COLUMNS = ("jerk", "slide", "floating", "worst_floating", "sinking", "worst_sinking")
KINDS = ("turn", "forward", "back", "side", "drop")
POST = {"as generated": Cleanup(smooth=0, ground=False, plant_feet=False), "post-processed": Cleanup()}


def real_windows(store: MotionStore, action: str, frames: int, count: int, seed: int) -> list[Motion]:
    """Up to `count` windows from inside spans with this label, of different clips where there are enough."""
    generator = np.random.default_rng(seed)
    spans = [
        (number, label)
        for number, clip in enumerate(store.clips)
        for label in clip.labels
        if label.text == action and (label.end - label.start) * FPS >= frames
    ]
    windows = []
    for index in generator.permutation(len(spans))[:count]:
        number, label = spans[index]
        clip = store[number].trim(label.start, label.end).resample(FPS)
        start = int(generator.integers(0, max(clip.num_frames - frames, 0) + 1))
        windows.append(clip.frames(start, start + frames))
    return windows


def main(arguments: list[str]) -> int:
    """Print the table."""
    typed = dict(argument.split("=") for argument in arguments if "=" in argument)
    draw = replace(USUAL, seed=int(typed.get("seed", 0)), top_p=float(typed.pop("top_p", USUAL.top_p)))
    options = {"count": 4, "frames": 60, "seed": 0} | {key: int(value) for key, value in typed.items()}
    places = [argument for argument in arguments if "=" not in argument]
    if len(places) < 2:
        print(__doc__)
        return 2
    store, models = MotionStore.open(places[0]), {p: MotionGenerator.from_pretrained(p) for p in places[1:]}
    common = set.intersection(*(set(model.vocabulary.names) for model in models.values()))
    real = {
        a: real_windows(store, a, options["frames"], 4 * options["count"], options["seed"])
        for a in sorted(common)
    }
    real = {action: windows for action, windows in real.items() if windows}
    print(f"{len(real)} actions, {options['count']} clips of {options['frames']} frames each\n")
    head = ["source", *COLUMNS, *(f"{kind} kept" for kind in KINDS)]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    row("real", [clip for clips in real.values() for clip in clips], None)
    for name, model in models.items():
        for post, cleanup in POST.items():
            created = {
                action: model.generate(
                    [action],
                    options["frames"],
                    options["count"],
                    draw=draw,
                    cleanup=cleanup,
                ).motions
                for action in real
            }
            row(
                f"{name}, {post}",
                [c for clips in created.values() for c in clips],
                kept_by_action(created, real),
            )
    return 0


def row(name: str, clips: list[Motion], kept: dict[str, float] | None) -> None:
    """Print one line of the table."""
    figures = mean_figures(clips)
    cells = [f"{figures[column]:.2f}" for column in COLUMNS]
    cells += [f"{kept[kind]:.2f}" if kept else "1" for kind in KINDS]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
