"""What a full-scale run of each model is: published batch, steps and data (docs/specs), or our default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# The corpus of SAGE's Setting 1 and of PoseGPT is AMASS: "more than 40 hours, more than 11000 motions" (its abstract).
AMASS_HOURS, AMASS_CLIPS, AMASS_FPS = 40, 11_000, 120
SAGE_CLIPS, SAGE_VISITS = 4814, 500  # Setting 1: CMU, BMLrub, HDM05 (docs/specs/sage.md, sections 3 and 4)
SAGE_WINDOWS = round(SAGE_CLIPS * AMASS_HOURS * 3600 / AMASS_CLIPS * 60)  # one per frame at 60 frames/s
NPR_POSES, NPR_FACES = 300, 13_776
# Models of this project's own: nothing is published to compare with, their pages have measured times.
OWN = ("tracker", "npr_residual", "npr_residual_diffusion", "anerf_splat", "scail_figure")
UNTRAINED = {
    "sage_ik": "inverse kinematics without weights",
    "scail_pose": "a pipeline of shipped networks",
}


def rows(batch: dict[str, Any]) -> int:
    """Items of a batch: windows or poses."""
    return len(next(value for value in batch.values() if hasattr(value, "shape") and value.ndim))


def frames(batch: dict[str, Any]) -> int:
    """Frames of a batch of sequences."""
    return int(batch["lengths"].sum())


def rays(batch: dict[str, Any]) -> int:
    """Rays of a batch."""
    return len(batch["ray_ids"])


@dataclass(frozen=True)
class FullRun:
    """A full-scale run, and how to measure its step with less.

    Args:
        model: name of the configuration.
        batch: units in a step of the full run.
        unit: of the batch.
        steps: of the full run.
        origin: where batch and steps are from.
        small: overrides that make the step small, and published options of the network.
        store: the kind of store: demo, mesh or avatar.
        units: how many are in a batch.
        starts_from: option of the configuration -> the model whose checkpoint it names.
        frozen, cached: methods of the module, see `one_step.train_steps`.
        windows: for which the outputs of frozen networks are computed, once.
        sequences: in a batch whose units are their frames.
        label: where a model has two rows.
    """

    model: str
    batch: int
    unit: str
    steps: int
    origin: str
    small: tuple[str, ...]
    store: str = "demo"
    units: Callable[[dict[str, Any]], int] = rows
    starts_from: dict[str, str] = field(default_factory=dict)
    frozen: str | None = None
    cached: str | None = None
    windows: int = 0
    sequences: int = 0
    label: str = ""

    @property
    def samples(self) -> int:
        """What the processes share: windows, poses and rays, or whole sequences."""
        return self.sequences or self.batch

    @property
    def amount(self) -> str:
        """The batch, for the tables."""
        return f"{self.batch:,} {self.unit if self.batch > 1 else self.unit.removesuffix('s')}"

    @property
    def name(self) -> str:
        """For the tables."""
        return f"{self.model}{self.label}"


def _sage(model: str, batch: int, epochs: int, visits: int = SAGE_VISITS, **more: Any) -> FullRun:
    steps = SAGE_CLIPS * visits // batch * epochs
    more.setdefault("origin", f"published: {epochs} epochs of {visits} visits to {SAGE_CLIPS:,} clips")
    more.setdefault("unit", "windows")
    return FullRun(model, more.pop("of", batch), steps=steps, **more)


def _npr(model: str, batch: int, steps: int, origin: str, size: int, **more: Any) -> FullRun:
    return FullRun(model, batch, "poses", steps, origin, (f"data.batch_size={size}",), store="mesh", **more)


_PLAIN = ("data.batch_size=8", "data.cache=false")
_WHOLE = ("data.batch_size=64",)
_LATENT: dict[str, Any] = {
    "small": ("data.batch_size=32", "data.cache=false"),
    "frozen": "frozen_outputs",
    "cached": "_cached_outputs",
    "windows": SAGE_WINDOWS,
}
_UPPER = {"module.upper_vqvae": "sage_upper_vqvae"}
_LOWER = {"module.lower_vqvae": "sage_lower_vqvae", "module.first": "sage_first"}
_BOTH = {"module.first": "sage_first", "module.second": "sage_second"}
_BABEL = ("data.batch_size=16", "data.skeleton=smplh52", "data.max_tilt=15")
_RAYS = "data.rays={images_per_step:16,rays_per_step:128}"

RUNS = (
    _sage("sage_upper_vqvae", 512, 40, small=_WHOLE),
    _sage("sage_lower_vqvae", 512, 40, small=_WHOLE),
    _sage("sage_first", 400, 51, starts_from=_UPPER, **_LATENT),
    _sage("sage_second", 512, 41, starts_from=_UPPER | _LOWER, **_LATENT),
    _sage("sage_decoder", 300, 6, label=", alone", starts_from=_BOTH, **_LATENT),
    _sage(
        "sage_decoder",
        300,
        6,
        label=", all three",
        starts_from=_BOTH,
        small=(*_PLAIN, "module.epochs_alone=0"),
    ),
    _sage(
        "sage_refiner",
        1,
        18,
        visits=1,
        of=500,
        sequences=1,
        unit="frames",
        origin=f"published: 18 epochs over {SAGE_CLIPS:,} sequences of at most 500 frames, one visit each (see below)",
        starts_from={"module.decoder": "sage_decoder"},
        units=frames,
        frozen="frozen_outputs",
        cached="_cached_outputs",
        windows=SAGE_WINDOWS,
        small=("data.batch_size=1", "data.cache=false", "data.sequence=40"),
    ),
    _sage(
        "sage_student",
        64,
        20,
        visits=50,
        of=64 * 101,
        sequences=64,
        unit="frames",
        origin="our default",
        starts_from={"module.teacher": "sage_refiner"},
        units=frames,
        frozen="_taught",
        windows=SAGE_WINDOWS,
        small=("data.batch_size=2", "data.cache=false", "data.sequence=40"),
    ),
    _sage("sparse_transformer", 256, 40, origin="our default", small=_WHOLE),
    FullRun(
        "posegpt_vqvae",
        64,
        "windows",
        2_000_000,
        "published: 400 epochs of 5,000",
        (*_BABEL, "datamodule.unit=segment"),
    ),
    FullRun(
        "posegpt_gpt",
        32,
        "windows",
        600_000,
        "published: 600 epochs of 1,000",
        (*_BABEL, "data.cache=false"),
        starts_from={"module.vqvae": "posegpt_vqvae"},
        frozen="_tokens",
    ),
    FullRun("posegpt_classifier", 32, "windows", 150_000, "published: 150 epochs of 1,000", _BABEL),
    _npr("npr", 1, 300 * NPR_POSES, "published: 300 epochs of 300 poses", 1),
    _npr("npr_vertices", 1, 300 * NPR_POSES, "as npr", 1),
    _npr("njf", 1, 300 * NPR_POSES, "as npr", 1),
    _npr(
        "npr_refiner",
        4,
        5 * NPR_POSES // 4,
        "our default: 5 epochs of 300 poses",
        1,
        starts_from={"module.autoencoder": "npr"},
    ),
    _npr(
        "npr_keypoint_diffusion",
        32,
        50_000,
        "our default: 500 epochs of 100; the paper gives none",
        8,
        starts_from={"module.autoencoder": "npr"},
    ),
    _npr(
        "npr_feature_diffusion",
        32,
        50_000,
        "our default: 500 epochs of 100; the paper gives none",
        8,
        starts_from={"module.keypoint_diffusion": "npr_keypoint_diffusion"},
    ),
    FullRun("anerf", 3072, "rays", 500_000, "published: Mixamo, H36M, PerfCap", (_RAYS,), "avatar", rays),
    FullRun(
        "anerf_finetune",
        3072,
        "rays",
        200_000,
        "published: after anerf",
        (_RAYS, "init_from=null"),
        "avatar",
        rays,
    ),
    FullRun("anerf_fast", 2048, "rays", 10_000, "our default: 20 epochs of 500", (_RAYS,), "avatar", rays),
    FullRun("scail_lifter", 64, "windows", 50_000, "our default: 100 epochs of 500", _WHOLE),
)
