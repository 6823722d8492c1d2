"""The body of a request for processing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from contrapposto.systems.scail_pose.service.limits import Limits, Refusal

# Those of `settings.OUTPUTS`, whose import would take torch along, and the driving video.
Output = Literal[
    "video", "mask", "id", "depth", "rgba", "scail2", "people", "nlfpred", "dwposes", "openpose", "figures", "capsules",
    "bvh", "driving",
]  # fmt: skip


class ProcessRequest(BaseModel):
    """What to make of an upload; docs/service.md lists the options.

    Attributes:
        example_id: of the upload.
        use_align: lay the people over those of the reference, where there is one.
        align_mode: points of the fit.
        retarget: bones take the reference's lengths; true, or bounds of the ratios.
        resolution: short and long side of the pose video, even numbers; or `video` for the video's own size.
        start, seconds: the part of the video.
        fps: of the pose video; null keeps every frame.
        fit, reference_fit, upright: see `VideoJob`.
        use_multi: draw everybody instead of the one with the highest score; `people` overrides it.
        people: all, first, largest, central, or ids as in report.json.
        outputs: see docs/service.md.
        hands, face, cheeks, hand_scale: of the overlay.
        smooth: repair the motion.
        frames: `time` resamples to `fps`; `count` takes 65 or 81 frames as the original service does.
        wait: answer when it is done; else at once.
    """

    model_config = ConfigDict(extra="forbid")
    example_id: str
    use_align: bool = True
    align_mode: Literal["auto", "feet", "body", "both"] = "auto"
    retarget: bool | tuple[float, float] = False
    resolution: tuple[int, int] | Literal["video"] = (512, 896)
    start: float = Field(default=0.0, ge=0)
    seconds: float | None = Field(default=None, gt=0)
    fps: float | None = Field(default=16.0, ge=1, le=120)
    fit: Literal["cover", "pad"] = "cover"
    reference_fit: Literal["cover", "pad"] = "cover"
    upright: Literal["video", "reference"] = "video"
    use_multi: bool = False
    people: Literal["all", "first", "largest", "central"] | list[int] | None = None
    outputs: list[Output] = Field(default=["video", "people"], min_length=1)
    hands: bool = True
    face: bool = True
    cheeks: bool = True
    hand_scale: float = Field(default=1.0, ge=0.1, le=10)
    smooth: bool = True
    frames: Literal["time", "count"] = "time"
    wait: bool = True

    def options(self, limits: Limits, size: Mapping[str, Any]) -> dict[str, Any]:
        """The same as options of `worker.make`, for a video of this `width`, `height` and `seconds`.

        Raises:
            Refusal: an option that cannot be used, or not with this video.
        """
        self._check(float(size.get("seconds") or 0))
        sides = self.resolution
        if isinstance(sides, str):
            longest = max(size.get("width", 0), size.get("height", 0))
            if longest > limits.output_side:
                raise Refusal(
                    400, f"The video is larger than {limits.output_side} pixels: give a resolution."
                )
        elif min(sides) < 64 or max(sides) > limits.output_side or sides[0] % 2 or sides[1] % 2:
            raise Refusal(
                400, f"resolution must be two even numbers from 64 to {limits.output_side}, or video."
            )
        job = {name: getattr(self, name) for name in ("start", "fps", "fit", "reference_fit", "upright")}
        # Of a stream whose end is not known no more than the limit is looked at.
        job |= {"seconds": min(self.seconds or limits.seconds, limits.seconds)}
        job |= {"resolution": sides if isinstance(sides, str) else list(sides)}
        look = {
            "attach": True,
            "hands": self.hands,
            "face": self.face,
            "cheeks": self.cheeks,
            "hand_scale": self.hand_scale,
        }
        settings = {
            "people": self.people or ("all" if self.use_multi else "first"),
            "outputs": sorted(set(self.outputs)),
            "align": {"mode": self.align_mode} if self.use_align else False,
            "retarget": self.retarget if isinstance(self.retarget, bool) else list(self.retarget),
            "clean": self.smooth,
            "look": look,
        }
        return {"job": job, "settings": settings, "frames": self.frames}

    def _check(self, seconds: float) -> None:
        """Refuse what would fail after the work has begun."""
        if seconds and self.start >= seconds:
            raise Refusal(
                400, f"start={self.start:g} is behind the end of the video, which has {seconds:.2f} seconds."
            )
        if isinstance(self.retarget, tuple) and not 0 < self.retarget[0] <= 1 <= self.retarget[1]:
            raise Refusal(
                400, "retarget must be true, false, or bounds as [0.5, 2], at most 1 and at least 1."
            )
        if isinstance(self.people, list) and (not self.people or min(self.people) < 0):
            raise Refusal(
                400, "people must be all, first, largest, central, or ids of report.json as [0, 2]."
            )
