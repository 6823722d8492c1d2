"""Training of a splat avatar on a scene: what a step computes, and a plain loop around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from contrapposto.systems.anerf.data.images import ImageOptions, ImageSampler
from contrapposto.systems.anerf.data.scene import AvatarScene
from contrapposto.systems.anerf.poses import PosedFigures, PoseLayer
from contrapposto.systems.anerf.splats.losses import LossWeights, Target, image_terms, target_of
from contrapposto.systems.anerf.splats.model import SplatAvatar, SplatOptions
from contrapposto.systems.anerf.splats.smoothness import SurfaceGraph
from contrapposto.systems.anerf.splats.training import Refinement, RowAdam, SplatRates
from contrapposto.systems.anerf.splats.unseen import fill_unseen, visibility
from contrapposto.systems.anerf.view import View

_FILLED = 0.8
"""Share of a training after which parts that no image shows are filled, and stay; the others adapt to them."""
_HUE = 20.0
"""By how much more than a change of brightness a change of the light's hue counts."""


@dataclass(frozen=True)
class TrainingOptions:
    """How an avatar is trained.

    Args:
        rates, weights: of the parameters, and of the losses.
        refinement: of the poses; None: they stay as they are.
        threads: on the CPU, for one image.
    """

    rates: SplatRates = field(default_factory=SplatRates)
    weights: LossWeights = field(default_factory=LossWeights)
    refinement: Refinement | None = None
    threads: int = 1


class Subject(nn.Module):
    """An avatar with the poses of its images, where these are refined.

    Args:
        avatar: of the person.
        poses: one for each of the scene; None: the scene's own are used.
        anchors: (P, 24, 3) axis-angles that the refinement began with; None: those of `poses`.
    """

    anchors: Tensor

    def __init__(
        self, avatar: SplatAvatar, poses: PoseLayer | None = None, anchors: Tensor | None = None
    ) -> None:
        super().__init__()
        self.avatar, self.poses = avatar, poses
        self._graph: SurfaceGraph | None = None
        if poses is not None:
            self.register_buffer("anchors", poses.axis_angles().clone() if anchors is None else anchors)

    @classmethod
    def of_scene(
        cls, scene: AvatarScene, options: SplatOptions | None = None, *, refined: bool = False
    ) -> Subject:
        """The person of a scene, before training."""
        avatar = SplatAvatar.on_body(np.array(scene.rest_pose), options)
        return cls(avatar, scene_poses(scene) if refined else None)

    def terms(
        self, batch: dict[str, Tensor], share: float, options: TrainingOptions
    ) -> tuple[dict[str, Tensor], Shown]:
        """Weighted losses of an image of `ImageSampler`, and what was compared.

        Args:
            batch: the image.
            share: of the training that is done.
            options: of the training.
        """
        target, bones, posed = target_of(batch), batch["bone_to_world"], None
        if self.poses is not None and options.refinement is not None:
            target = target.smaller(options.refinement.reduction(share))
            posed = self.poses.posed(batch["pose"][None])
            bones = posed.bone_to_world[0]
        colour, transmittance = self.avatar(bones, target.view, threads=options.threads)
        terms = image_terms(colour, transmittance, target, options.weights)
        offset = (self.avatar.offset / self.avatar.spacing).square().mean()
        terms["offset"] = options.weights.offset * offset
        terms |= self._priors(options.weights)
        if posed is not None and options.refinement is not None:
            drift = (posed.parameters[0] - self.anchors[int(batch["pose"])]).square().sum()
            terms["pose"] = options.refinement.weight * drift
        return terms, Shown(target, colour, transmittance, posed)

    def _priors(self, weights: LossWeights) -> dict[str, Tensor]:
        """Weighted terms that keep what images do not show plausible."""
        avatar, terms = self.avatar, {}
        if weights.light:
            change = avatar.light[1:].square().sum()
            hue = (avatar.light - avatar.light.mean(1, keepdim=True)).square().sum()
            # Light differs in brightness far more than in hue; what one camera does not tell would tint the back, and a
            # light that takes the colour of the clothes would tint all that is filled.
            terms["light"] = weights.light * (change + _HUE * hue)
        if weights.smooth:
            self._graph = self._graph or SurfaceGraph(avatar)
            values = torch.cat([avatar.colour, avatar.offset / avatar.spacing, avatar.log_scale], dim=1)
            terms["smooth"] = weights.smooth * self._graph.energy(values)
        return terms

    def optimizer(self, options: TrainingOptions) -> tuple[RowAdam, list[Callable[[float], float]]]:
        """Adam, and for each of its groups the factor of the rate by the share of the training that is done."""
        groups, factors = [], []
        for group in options.rates.groups(self.avatar):
            name = group.pop("name")
            groups.append(group)
            factors.append(_factor(name, options))
        refinement = options.refinement
        if self.poses is not None and refinement is not None:
            row = {"rows": True, "betas": (0.8, 0.95), "eps": 1e-12}
            rates = {"bones": refinement.learning_rate}
            rates["pelvis"] = refinement.learning_rate * refinement.root_rate
            for name, rate in rates.items():
                groups.append({"params": [getattr(self.poses, name)], "lr": rate, **row})
                factors.append(lambda share: refinement.decay**share)
        return RowAdam(groups), factors


@dataclass(frozen=True)
class Shown:
    """An image of training: the target, (h, w, 3) colours, (h, w) transmittance, and the refined pose, if any."""

    target: Target
    colour: Tensor
    transmittance: Tensor
    posed: PosedFigures | None

    @property
    def psnr(self) -> Tensor:
        """Of the whole crop, dB."""
        shown = self.colour + self.transmittance[..., None] * self.target.background
        return -10 * torch.log10((shown - self.target.image).square().mean())


def subject_of_state(state: Mapping[str, Tensor]) -> Subject:
    """The subject whose state dict this is, or, with the prefix `subject.`, that of a module that holds one."""
    state = {name.removeprefix("subject."): value for name, value in state.items()}
    avatar = SplatAvatar.of_state(_below(state, "avatar."))
    poses = _below(state, "poses.")
    if not poses:
        return Subject(avatar)
    layer = PoseLayer(poses["rest_pose"], poses["bones"], poses["pelvis"], kind="axis_angle")
    layer.load_state_dict(poses)
    return Subject(avatar, layer, state["anchors"])


def _below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def scene_poses(scene: AvatarScene) -> PoseLayer:
    """The poses of a scene, to be refined."""
    rest, bones, roots = (
        torch.from_numpy(np.array(x)) for x in (scene.rest_pose, scene.bones, scene.kp3d[:, 0])
    )
    return PoseLayer(rest, bones, roots - rest[0], kind="axis_angle")


def fit_avatar(
    scene: AvatarScene,
    *,
    steps: int = 5000,
    gaussians: SplatOptions | None = None,
    options: TrainingOptions | None = None,
    sampler: ImageSampler | None = None,
    seed: int = 0,
    fill: bool = True,
    progress: Callable[[int, Subject, Shown], None] | None = None,
) -> Subject:
    """Train an avatar on a scene.

    Args:
        scene: the images.
        steps: one image each.
        gaussians: how the avatar starts.
        options: of the training.
        sampler: of the images to learn from; None: of the split `train`, in an order by `seed`.
        seed: of that order.
        fill: parts that no image shows take after those around them before the last steps, see `fill_unseen`.
        progress: called after every step.
    """
    options = options or TrainingOptions()
    subject = Subject.of_scene(scene, gaussians, refined=options.refinement is not None)
    sampler = sampler or ImageSampler(scene, ImageOptions(), seed=seed, images=scene.split("train"))
    optimizer, factors = subject.optimizer(options)
    rates = [group["lr"] for group in optimizer.param_groups]
    filling = Filling(subject, sampler) if fill else None
    for step in range(steps):
        if filling:
            filling.before_step(step / steps)
        for group, rate, factor in zip(optimizer.param_groups, rates, factors):
            group["lr"] = rate * factor(step / steps)
        terms, shown = subject.terms(sampler.batch(step), step / steps, options)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        if filling:
            filling.after_step()
        if progress is not None:
            progress(step + 1, subject, shown)
    return subject


class Filling:
    """Parts of a subject that no image shows, filled at a late step, and kept so from then on.

    Args:
        subject: in training.
        sampler: of its images.
    """

    def __init__(self, subject: Subject, sampler: ImageSampler) -> None:
        self.subject, self.sampler = subject, sampler
        self._kept: list[tuple[Tensor, Tensor, Tensor]] | None = None

    def before_step(self, share: float) -> None:
        """Fill once; `share` of the training is done."""
        if self._kept is not None or share < _FILLED:
            return
        avatar = self.subject.avatar
        hidden = ~visibility(avatar, _some_images(self.subject, self.sampler))
        self._kept = []
        if fill_unseen(avatar, ~hidden):
            parameters = [parameter for parameter in avatar.parameters() if len(parameter) == len(hidden)]
            self._kept = [(entry, hidden, entry.detach()[hidden].clone()) for entry in parameters]

    def after_step(self) -> None:
        """Undo what the optimiser changed there."""
        for parameter, rows, values in self._kept or ():
            parameter.data[rows] = values


def _some_images(subject: Subject, sampler: ImageSampler, most: int = 60) -> Iterator[tuple[Tensor, View]]:
    """Poses and cameras of images of training, evenly spread."""
    images = sampler.images[
        np.linspace(0, len(sampler.images) - 1, min(len(sampler.images), most)).astype(int)
    ]
    for image in images:
        batch = sampler.crop(int(image))
        bones = batch["bone_to_world"]
        if subject.poses is not None:
            bones = subject.poses.posed(batch["pose"][None]).bone_to_world[0]
        yield bones, target_of(batch).view


def _factor(name: str, options: TrainingOptions) -> Callable[[float], float]:
    rates, refinement = options.rates, options.refinement

    def factor(share: float) -> float:
        slow = refinement is not None and name in ("offset", "log_scale") and refinement.reduction(share) > 1
        return rates.factor(share) * (refinement.coarse_rate if slow and refinement is not None else 1.0)

    return factor
