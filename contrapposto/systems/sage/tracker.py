"""From head and hands to the whole body: SAGE's networks in a row (docs/specs/sage.md, section 1), for clips and live."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from contrapposto import rotations as rot
from contrapposto.devices import Device, device_of, find_device, in_chunks
from contrapposto.motion import Motion
from contrapposto.nn.random import keyed_normal
from contrapposto.nn.replay import Replay
from contrapposto.pretrained import load_pretrained
from contrapposto.skeleton import SMPL22
from contrapposto.systems.sage.body_losses import BodyKinematics
from contrapposto.systems.sage.decoder import FullBodyDecoder, Refiner
from contrapposto.systems.sage.diffusion import MotionDiffusion
from contrapposto.systems.sage.finishing import Finishing
from contrapposto.systems.sage.joints import HEAD, NUM_JOINTS
from contrapposto.systems.sage.rest import rest_positions
from contrapposto.systems.sage.window_frame import Frame, root_out, windows_in
from contrapposto.weights import ImportReport, import_official, load_state_dicts


@dataclass(frozen=True)
class TrackedBody:
    """Frames of a tracked body.

    Args:
        sixd: (N, 132) refined local rotations as the networks give them.
        rotations: (N, 22, 3, 3) local rotations.
        root_translation: (N, 3) metres, such that the head stands where it was observed.
        joints: (N, 22, 3) metres, world.
    """

    sixd: Tensor
    rotations: Tensor
    root_translation: Tensor
    joints: Tensor

    def to_motion(self, fps: float = 60.0) -> Motion:
        """As a clip on the 22-joint skeleton."""
        vectors = rot.matrix_to_axis_angle(self.rotations.detach().float().cpu()).numpy()
        translation = self.root_translation.detach().float().cpu().numpy()
        return Motion(np.ascontiguousarray(vectors), translation, fps, SMPL22)


class CoarseTracker(nn.Module):
    """From device features to unrefined 6D rotations: both diffusions and the decoder.

    Every frame is the last of a window of the most recent 20 frames; before the start the first frame is
    repeated. Start noise is keyed by (seed, frame), so that a clip gives the same in one batch, in many, or
    live.

    Args:
        first, second, decoder: the networks; freshly initialised ones of the original's size where absent.
        steps: inference steps of each diffusion.
        seed: of the start noise; None starts from zero (the noise is small: a hundredth of a normal number).
        frame: that the networks work in, see `window_frame`.
    """

    def __init__(
        self,
        first: MotionDiffusion | None = None,
        second: MotionDiffusion | None = None,
        decoder: FullBodyDecoder | None = None,
        *,
        steps: int = 5,
        seed: int | None = 0,
        frame: Frame = "world",
    ) -> None:
        super().__init__()
        self.frame: Frame = frame
        self.first = first or MotionDiffusion(use_upper=False)
        self.second = second or MotionDiffusion(use_upper=True)
        self.decoder = decoder or FullBodyDecoder()
        self.window = 2 * self.first.latent_shape[0]
        self.steps, self.seed = steps, seed

    def windows(self, sparse: Tensor) -> Tensor:
        """(N, 3, 18) to (N, window, 3, 18): the window that ends at each frame."""
        return windows_of(sparse, torch.arange(len(sparse), device=sparse.device), self.window)

    def latents(
        self, windows: Tensor, frames: Tensor, noise: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Upper and lower latents (B, L, D) of windows (B, T, 3, 18).

        Args:
            windows: device features in the networks' frame (`window_frame.windows_in`).
            frames: (B,) int64 numbers of the last frames, which key the start noise.
            noise: `upper` and `lower`, (B, L, D) standard normal, in place of the keyed noise.
        """
        draws = noise or {name: self._start_noise(frames, name) for name in ("upper", "lower")}
        upper = self.first.sample(windows, draws["upper"], steps=self.steps)
        return upper, self.second.sample(windows, draws["lower"], upper, steps=self.steps)

    def _start_noise(self, frames: Tensor, part: str) -> Tensor:
        shape = self.first.latent_shape
        if self.seed is None:
            return torch.zeros(len(frames), *shape, device=frames.device)
        return start_noise(self.seed, frames, shape, part)

    def coarse(
        self, sparse: Tensor, *, batch_size: int = 64, noise: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """(N, 3, 18) to unrefined 6D (N, 132), `batch_size` windows at a time; `noise` as in `latents`, (N,
        L, D).
        """
        parts = []
        for start in range(0, len(sparse), batch_size):
            frames = torch.arange(start, min(start + batch_size, len(sparse)), device=sparse.device)
            windows = windows_of(sparse, frames, self.window)
            draws = None if noise is None else {name: value[frames] for name, value in noise.items()}
            parts.append(self.coarse_windows(windows, frames, draws))
        return torch.cat(parts)

    def coarse_windows(
        self, windows: Tensor, frames: Tensor, noise: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Windows (B, T, 3, 18) to the unrefined 6D (B, 132) of their last frames; arguments of `latents`."""
        windows, turn = windows_in(self.frame, windows)
        upper, lower = self.latents(windows, frames, noise)
        return root_out(self.decoder(upper, lower, windows, last_only=True), turn)[:, 0]


class SageTracker(CoarseTracker):
    """The whole inference path: both diffusions, the decoder, the refiner.

    `finishing` states what is done to its poses in evaluation and use; nothing in the paper.

    Args:
        first, second, decoder, steps, seed, frame: see `CoarseTracker`.
        refiner: the network; a freshly initialised one of the original's size where absent.
        rest_positions: (22, 3) of the body, metres; the default skeleton's where absent.
    """

    def __init__(
        self,
        first: MotionDiffusion | None = None,
        second: MotionDiffusion | None = None,
        decoder: FullBodyDecoder | None = None,
        refiner: Refiner | None = None,
        rest_positions: Tensor | None = None,
        *,
        steps: int = 5,
        seed: int | None = 0,
        frame: Frame = "world",
    ) -> None:
        super().__init__(first, second, decoder, steps=steps, seed=seed, frame=frame)
        self.refiner = refiner or Refiner()
        self.kinematics = BodyKinematics(rest_positions)
        self.finishing = Finishing.none()

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> SageTracker:
        """Build it, without weights, from the options of the refiner's training."""
        tracker = cls(
            *sage_networks(options),
            rest_positions(options.get("body")),
            steps=int(options.get("steps", 5)),
            seed=options.get("seed", 0),
            frame=options.get("coordinates", "world"),
        )
        tracker.finishing = Finishing.of(options)
        return tracker

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, *, device: Device = None) -> SageTracker:
        """Load a trained tracker.

        Args:
            name_or_path: a run directory or published folder of `sage_refiner`, a checkpoint of it, a shipped model, or
                the authors' released files (see `official.find_files`).
            device: where it runs, see `contrapposto.devices.find_device`.

        Raises:
            ContrappostoError: there is none, or it does not fit.
        """
        from contrapposto.systems.sage.official import find_files, import_decoder, is_official, load_refiner

        if is_official(name_or_path):
            decoder, refiner = find_files(name_or_path).need("decoder", "refiner")
            tracker = cls()
            import_decoder(decoder, {name: getattr(tracker, name) for name in ("first", "second", "decoder")})
            tracker.refiner = load_refiner(refiner)[0]
        else:
            pretrained = load_pretrained(name_or_path, models=("sage_refiner",))
            tracker = cls.from_options(pretrained.options)
            pretrained.load_into(tracker, "tracker.")
        return tracker.eval().requires_grad_(False).to(find_device(device))

    def load_official(self, decoder_file: str | Path, refiner_file: str | Path) -> dict[str, ImportReport]:
        """Load the authors' two released files; the first holds both diffusions and the decoder.

        Raises:
            MissingError, InputError: see `contrapposto.weights`.
        """
        stages = load_state_dicts(decoder_file)
        (refiner,) = load_state_dicts(refiner_file).values()
        return {
            name: import_official(network, state)
            for name, network, state in (
                ("first", self.first, stages.get("upper", {})),
                ("second", self.second, stages.get("lower", {})),
                ("decoder", self.decoder, stages.get("decoder", {})),
                ("refiner", self.refiner, refiner),
            )
        }

    @torch.inference_mode()
    def track(
        self, sparse: Tensor, *, batch_size: int = 64, noise: Mapping[str, Tensor] | None = None
    ) -> TrackedBody:
        """A whole clip.

        Args:
            sparse: (N, 3, 18) device features at 60 frames/s (see `features.sparse_features`).
            batch_size: windows per forward pass.
            noise: see `latents`.
        """
        sparse = sparse.to(device_of(self))
        coarse, _ = in_chunks(
            lambda size: self.coarse(sparse, batch_size=size, noise=noise), batch_size, device=sparse.device
        )
        correction, _ = self.refiner(coarse[None])
        return self.place(coarse + correction[0], sparse[:, 0, 12:15])

    def place(self, sixd: Tensor, head: Tensor) -> TrackedBody:
        """Pose the body by 6D (N, 132) with its head at (N, 3)."""
        return place(self.kinematics, sixd, head)

    def stream(self) -> SageStream:
        """Live tracking by these networks."""
        return SageStream(self)


def sage_networks(
    options: Mapping[str, Any],
) -> tuple[MotionDiffusion, MotionDiffusion, FullBodyDecoder, Refiner]:
    """Both diffusions, the decoder and the refiner, without weights, from the options of the refiner's training."""
    window, latent = int(options.get("window", 20)), int(options.get("latent", 384))
    diffusion = options.get("diffusion") or {}
    return (
        MotionDiffusion(False, window, latent, **diffusion),
        MotionDiffusion(True, window, latent, **diffusion),
        FullBodyDecoder(window, latent, **(options.get("decoder_network") or {})),
        Refiner(**(options.get("network") or {})),
    )


def place(kinematics: BodyKinematics, sixd: Tensor, head: Tensor) -> TrackedBody:
    """The body posed by 6D (N, 132) with its head at (N, 3) metres."""
    rotations = rot.sixd_columns_to_matrix(sixd.unflatten(-1, (NUM_JOINTS, 6)))
    joints = kinematics(sixd)
    translation = head - joints[:, HEAD]
    return TrackedBody(sixd, rotations, translation, joints + translation[:, None])


def windows_of(sparse: Tensor, frames: Tensor, window: int) -> Tensor:
    """Windows (B, window, 3, 18) that end at `frames` (B,) of a clip (N, 3, 18), padded with its first frame."""
    index = frames[:, None] + torch.arange(1 - window, 1, device=sparse.device)
    return sparse[index.clamp_min(0)]


def start_noise(seed: int, frames: Tensor, shape: tuple[int, ...], part: str) -> Tensor:
    """(B, *shape) standard normal noise from which the `upper` or `lower` latents of these frames are sampled."""
    return keyed_normal(seed, 0, frames, shape, f"sage {part}")


class WindowBuffer:
    """The newest frames of a stream, the first one repeated before its start.

    Args:
        length: frames of a window.
    """

    def __init__(self, length: int) -> None:
        self._frames: deque[Tensor] = deque(maxlen=length)

    def clear(self) -> None:
        """Forget all frames."""
        self._frames.clear()

    def add(self, frame: Tensor) -> None:
        """Take a frame in."""
        self._frames.extend([frame] * (1 if self._frames else self._frames.maxlen or 1))

    def window(self) -> Tensor:
        """(length, ...), the newest frame last."""
        return torch.stack(list(self._frames))


class SageStream:
    """Live tracking: push a frame, get the body. Equal to `SageTracker.track` on the frames so far.

    Args:
        tracker: in eval mode.
    """

    def __init__(self, tracker: SageTracker) -> None:
        self.tracker = tracker
        self._step = Replay(lambda window, frame: (tracker.coarse_windows(window, frame),))
        self.reset()

    def reset(self) -> None:
        """Forget everything, for a new clip."""
        self._frames: deque[Tensor] = deque(maxlen=self.tracker.window)
        self._count = 0
        self._state: Tensor | None = None

    @torch.inference_mode()
    def push(self, sparse: Tensor, seen: Tensor | None = None) -> TrackedBody:
        """One frame of device features, (3, 18) or (54,), complete; returns one frame of the body."""
        sparse = sparse.reshape(3, 18)
        if not self._frames:
            self._frames.extend([sparse] * (self.tracker.window - 1))
        self._frames.append(sparse)
        window = torch.stack(list(self._frames))[None]
        frame = torch.tensor([self._count], device=sparse.device)
        (coarse,) = self._step(window, frame)
        correction, self._state = self.tracker.refiner(coarse[None], self._state)
        self._count += 1
        return self.tracker.place(coarse + correction[0], sparse[None, 0, 12:15])
