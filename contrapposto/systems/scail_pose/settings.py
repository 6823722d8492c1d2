"""What is made of a clip: who is drawn, how, in which files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from contrapposto.errors import ConfigError
from contrapposto.options import check_options, fits
from contrapposto.systems.scail_pose import validate as check
from contrapposto.systems.scail_pose.clean import Clean
from contrapposto.systems.scail_pose.exports import EXPORTS
from contrapposto.systems.scail_pose.outputs import REFERENCE_MASK, VIDEOS, video_names
from contrapposto.systems.scail_pose.palette import palettes_for
from contrapposto.systems.scail_pose.people import CHOICES, ClipPoses
from contrapposto.systems.scail_pose.pipeline import Look
from contrapposto.systems.scail_pose.reference import AlignOptions

DATA_FILES = ("people", "nlfpred", "dwposes", "openpose")
OUTPUTS = (*VIDEOS, *DATA_FILES, *EXPORTS)
_FILES = {
    "people": ("motion.npz",),
    "nlfpred": ("nlfpred.json",),
    "dwposes": ("dwposes.json",),
    "openpose": ("openpose",),
    "figures": ("figures.glb",),
    "capsules": ("capsules.glb",),
    "bvh": tuple(f"person_{number}.bvh" for number in range(100)),
}
RETARGET_BOUNDS = (0.5, 2.0)
_SWITCHED = ("look", "align", "clean", "retarget", "outputs")  # also take true, false or a single word


@dataclass(frozen=True)
class Settings:
    """What is made of a clip.

    Attributes:
        people: whom to draw, see `choose_people`.
        look: see `Look`.
        align: see `AlignOptions`; None leaves the camera as it is even where there is a reference.
        retarget: bones take the reference's lengths, with ratios within these bounds; None leaves them as they are.
        outputs: of `OUTPUTS`.
        clean: what repairs the motion, from a clip to a clip; None draws the estimates as they are.
        world: whether what is exported for 3D programs stands in a world in which the camera moves, see `in_world`.
        sides: whether left and right are decided over the track, see `steady_sides`.
        device: of the renderer, see `CapsuleRenderer`.

    Raises:
        ConfigError: an option that cannot be used.
    """

    people: str | int | Sequence[int] = "all"
    look: Look = field(default_factory=Look)
    align: AlignOptions | None = field(default_factory=AlignOptions)
    retarget: tuple[float, float] | None = None
    outputs: Sequence[str] = ("video", "people")
    clean: Callable[[ClipPoses], ClipPoses] | None = None
    sides: bool = True
    world: bool = False
    device: str | None = None

    def __post_init__(self) -> None:
        check.words("outputs", self.outputs, OUTPUTS)
        check_people(self.people)
        if self.retarget is not None:
            low, high = self.retarget
            if not 0 < low <= 1 <= high:
                raise ConfigError(
                    f"retarget=[{low:g},{high:g}] cannot be used.", expected="0 < low <= 1 <= high"
                )

    @classmethod
    def from_options(cls, *, original: bool = False, **options: Any) -> Settings:
        """Settings from plain values, as they are written in YAML or on a command line.

        Args:
            original: the original's look, its solver for the camera, the estimates as they are, one person.
            options: the attributes. `look`, `align` and `clean` may be mappings of their options, true (the defaults)
                or false (none); `retarget` a pair, true or false; `outputs` a single name.

        Raises:
            ConfigError: an option that does not exist or cannot be used.
        """
        plain = {name: value for name, value in options.items() if name not in _SWITCHED}
        check_options(cls, plain)
        check_options(cls.from_options, {"original": original})
        look = check.build("look", Look, _mapping(options.get("look")) or {})
        align = _switched("align", AlignOptions, options.get("align", True))
        clean = options.get("clean")
        clean = clean if callable(clean) else _switched("clean", Clean, clean)
        people = options.get("people", "all")
        if original:
            look = replace(look, palettes=palettes_for(1), wrap=True, attach=False, hide=False)
            align = None if align is None else replace(align, original=True)
            people, clean = "first" if people == "all" else people, None
        return cls(
            people=people,
            look=look,
            align=align,
            retarget=_bounds(options.get("retarget")),
            outputs=check.words("outputs", options.get("outputs", ("video", "people")), OUTPUTS),
            clean=clean,
            sides=options.get("sides", True) and not original,
            world=options.get("world", False),
            device=options.get("device"),
        )


def result_names(outputs: Sequence[str]) -> list[str]:
    """Names of all files and folders that a clip with these `outputs` may have, aligned with a reference or not."""
    names = ["report.json", *(name for kind in outputs for name in _FILES.get(kind, ()))]
    for stem in ("rendered", "rendered_aligned"):
        names += [name for kind, name in video_names(stem) if kind in outputs]
    return [*names, REFERENCE_MASK] if "scail2" in outputs else names


def check_people(choice: Any) -> None:
    """Refuse a choice of people that no clip can fulfil.

    Raises:
        ConfigError: neither one of `CHOICES` nor ids.
    """
    if choice in CHOICES:
        return
    ids = choice if isinstance(choice, Sequence) and not isinstance(choice, str) else [choice]
    if not ids or any(isinstance(one, bool) or not isinstance(one, int) or one < 0 for one in ids):
        expected = f"{', '.join(CHOICES)}, or ids of report.json, as [0,2]"
        raise ConfigError(f"people={choice!r} cannot be used.", expected=expected)


def _mapping(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _switched(name: str, kind: type[Any], value: Any) -> Any:
    """Options that true switches on and false or null off."""
    if value is None or value is False:
        return None
    return kind() if value is True else check.build(name, kind, _mapping(value))


def _bounds(value: Any) -> tuple[float, float] | None:
    if value is None or value is False:
        return None
    if value is True:
        return RETARGET_BOUNDS
    if not fits(value, tuple[float, float]):
        raise ConfigError(f"retarget={value} cannot be used.", expected="true, false, or bounds as [0.5,2]")
    low, high = value
    return float(low), float(high)
