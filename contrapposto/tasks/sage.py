"""predict.py task=sage_track: a whole body from head and hands, out of a recording or live."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig

from contrapposto.errors import ConfigError, InputError, MissingError, nearest
from contrapposto.motion import Motion
from contrapposto.outputs import free_stem
from contrapposto.runs import best_run
from contrapposto.tasks.base import FORMATS, endings, read_clip, write_formats

if TYPE_CHECKING:
    from contrapposto.io.devices import DeviceTrack, Repairs
    from contrapposto.systems.sage.finishing import Finishing
    from contrapposto.systems.sage.live.calibration import Calibration
    from contrapposto.systems.sage.live.recording import Recording
    from contrapposto.systems.sage.methods import AnyTracker

SPEEDS = ("exact", "packed", "int8")
TRAINED_ON = {
    "tracker": ("open_motion", "sage_open_free"),
    "sparse_transformer": ("open_motion", "sage_open_free"),
}
"""Data and experiment whose runs are used, where none are named; of the others the demo's."""
SHIPPED = "sage_refiner"
"""Where no run of the demo's is there, the shipped one is used, which learnt from the tracker's data."""
_LONGEST = 3600.0  # seconds of a recording in which a T-pose is looked for
_LOOKED_AT = 60.0  # seconds of a recording from which the wearer's size is taken


class SageTrack:
    """Track a body from three devices; see configs/task/sage_track.yaml for the options.

    Raises:
        ConfigError: an option that cannot be used.
    """

    def __init__(
        self,
        formats: Sequence[str] = FORMATS,
        method: str = "tracker",
        data: str | None = None,
        experiment: str | None = None,
        checkpoint: str | None = None,
        steps: int | None = None,
        speed: str = "packed",
        smooth: bool | None = None,
        reach: bool | None = None,
        plant: bool | None = None,
        floor: float | bool | None = None,
        beside: str | None = None,
        height: float | str | None = None,
        axes: str | None = None,
        calibrate: float | None = None,
        start: float | None = None,
        seconds: float | None = None,
        strict: bool = False,
        port: int = 8080,
        open: bool = True,
        certificate: str | None = None,
        names: Sequence[str] = (),
        vmc: str | None = None,
    ) -> None:
        if speed not in SPEEDS:
            raise ConfigError(f"There is no speed {speed!r}.", expected=nearest(speed, SPEEDS))
        endings(formats)
        self.formats, self.strict = list(formats), strict
        from contrapposto.systems.sage.methods import model_of

        self.model, self.checkpoint = model_of(method), checkpoint
        self.data, self.experiment = data, experiment
        self.steps, self.speed, self.height, self.axes = steps, speed, height, axes
        self.finishing = (smooth, reach, plant, floor)
        self.method, self.beside = method, beside
        if beside is not None:
            model_of(beside)
        self.calibrate, self.start, self.seconds = calibrate, start, seconds
        self.port, self.open = port, open
        self.certificate, self.names = certificate, tuple(names)
        from contrapposto.systems.sage.live.vmc import vmc_address

        self.vmc = None if vmc is None else vmc_address(vmc)
        self.metadata: dict[str, str] = {}
        self._places_of: dict[Path, tuple[np.ndarray, np.ndarray]] = {}

    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Track the recording `source`, or the packets of an address, into files in `output`."""
        from contrapposto.systems.sage.live.server import udp_address
        from contrapposto.systems.sage.live.web_server import web_address

        packets, pages = udp_address(str(config.input)), web_address(str(config.input))
        if packets is None and pages is None:
            return self._recording(config, source, output)
        from contrapposto.tasks.sage_live import LiveCommand

        live = LiveCommand(self, config, output)
        return live.packets(packets) if packets is not None else live.headsets(pages or ("", 0))

    def load(self, config: DictConfig) -> tuple[AnyTracker, Finishing]:
        """The trained tracker, prepared as asked, and what is done to its poses."""
        from contrapposto.systems.sage.finishing import Finishing
        from contrapposto.systems.sage.methods import load_tracker
        from contrapposto.systems.sage.recurrent_tracker import Tracker

        model = load_tracker(self.checkpoint or self._best(config, self.model))
        finishing = with_settings(model.finishing, *self.finishing)
        print(f"finishing: {finishing}")
        self.metadata = {"post_processing": str(finishing)}
        if isinstance(model, Tracker):
            model.finishing = finishing
            return prepared(model, self.steps, self.speed), Finishing.none()
        return prepared(model, self.steps, self.speed), finishing

    def _best(self, config: DictConfig, model: str) -> Path:
        """The best run of a model, or the shipped one; `data` and `experiment` speak of the method's own."""
        data, experiment = TRAINED_ON.get(model, ("demo", "sage_demo"))
        named = model == self.model and (self.data or self.experiment)
        if named:
            data, experiment = self.data or data, self.experiment or experiment
        try:
            return best_run(config.paths.runs, model, data, experiment).checkpoint
        except MissingError:
            if named or model != SHIPPED:
                raise
            return best_run(config.paths.runs, model, *TRAINED_ON["tracker"]).checkpoint

    def _recording(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        from contrapposto.io import READABLE
        from contrapposto.io.devices import Repairs
        from contrapposto.systems.sage.live.recording import track_recording

        if not source.exists():
            raise InputError(f"There is no file {source}.")
        stem = free_stem(output / f"{source.stem}_tracked", (*endings(self.formats), "_devices.csv"))
        scale, calibration = self._wearer(source)
        repairs = Repairs(source, self.strict)
        stretch = part_of(self._stream(source, repairs), self.start, self.seconds)
        model, finishing = self.load(config)
        recording, counts = track_recording(
            model, stretch, scale=scale, calibration=calibration, finishing=finishing
        )
        report(source, repairs.counts + counts)
        motion = recording.motion()
        motion = replace(
            motion, metadata={**motion.metadata, "start": f"{(self.start or 0.0) + recording.start:.4f}"}
        )
        truth = None
        if source.suffix.lower() in READABLE:
            # The tracked clip begins a frame later: a body needs velocities.
            whole = read_clip(source)
            times = (self.start or 0.0) + recording.start + np.arange(motion.num_frames) / motion.fps
            truth = whole.at_times(times, motion.fps)
            motion = replace(motion, metadata={**truth.metadata, **motion.metadata})
        others = {}
        if self.beside is not None:
            others[self.beside] = self._other(config, source, scale, calibration)
        return self.write(motion, recording, stem, truth, others)

    def _other(
        self, config: DictConfig, source: Path, scale: float, calibration: Calibration | None
    ) -> Motion:
        """The same recording as the method `beside` tracks it."""
        from contrapposto.io.devices import Repairs
        from contrapposto.systems.sage.live.recording import track_recording
        from contrapposto.systems.sage.methods import load_tracker, model_of

        model = load_tracker(self._best(config, model_of(str(self.beside))))
        stretch = part_of(self._stream(source, Repairs(source)), self.start, self.seconds)
        recording, _ = track_recording(
            prepared(model, None, self.speed),
            stretch,
            scale=scale,
            calibration=calibration,
            finishing=model.finishing,
        )
        return recording.motion()

    def _stream(self, source: Path, repairs: Repairs) -> Iterator[DeviceTrack]:
        from contrapposto.io.tracks import stream_devices

        return stream_devices(source, repairs=repairs, convention=self.axes)

    def _wearer(self, source: Path) -> tuple[float, Calibration | None]:
        """Size of the wearer and calibration of the devices, from the recording where asked for."""
        from contrapposto.io.devices import Repairs
        from contrapposto.io.tracks import recorded_convention
        from contrapposto.systems.sage.live import calibration as cal
        from contrapposto.systems.sage.live.wearer import check_height

        check_height(self.height)
        calibration, scale = None, None
        if self.height is not None and self.height != "auto":
            scale = cal.scale_of_height(float(self.height))
        second = self.calibrate
        if second is None and not recorded_convention(source, self.axes).hands_known:
            second = self._t_pose(source)
        if second is not None:
            around = part_of(self._stream(source, Repairs(source)), second - 0.5, 1.0)
            rotations, positions = all_seen(around)
            positions = positions - [0.0, 0.0, self._lift(source, second)]
            calibration = cal.calibrate_t_pose(rotations, positions, scale)
        if self.height == "auto":
            first = part_of(self._stream(source, Repairs(source)), self.start, _LOOKED_AT)
            heads = [track.part(track.tracked[:, 0]).positions[:, 0, 2].numpy() for track in first]
            if not sum(map(len, heads)):
                raise InputError(f"{source}: the head is not tracked in the first {_LOOKED_AT:g} seconds.")
            scale = cal.scale_of_head(cal.standing_height(np.concatenate(heads)))
            print(f"the wearer's size is {scale:.3f} of the default figure's")
        return (1.0 if scale is None else scale), calibration

    def _lift(self, source: Path, second: float) -> float:
        """Metres by which the T-pose is higher than the rest of the recording; reported."""
        from contrapposto.systems.sage.live.calibration import lift_of_t_pose

        times, places = self._places(source)
        lift = lift_of_t_pose(times - times[0], places[:, 0], second)
        if lift:
            way = "lower" if lift > 0 else "higher"
            print(
                f"the headset takes another origin after the T-pose, which counts as {abs(lift):.2f} m {way}"
            )
        return lift

    def _places(self, source: Path) -> tuple[np.ndarray, np.ndarray]:
        """Times (F,) and places (F, 3, 3) of the beginning of a recording, read once; NaN where not tracked."""
        from contrapposto.io.devices import Repairs

        if source in self._places_of:
            return self._places_of[source]
        times, places = [], []
        for track in part_of(self._stream(source, Repairs(source)), None, _LONGEST):
            times.append(track.times)
            places.append(np.where(track.tracked[..., None], track.positions.numpy(), np.nan))
        self._places_of[source] = np.concatenate(times), np.concatenate(places)
        return self._places_of[source]

    def _t_pose(self, source: Path) -> float:
        """The second of a recording at which the wearer stands in the T-pose.

        Raises:
            ConfigError: never, so that how the controllers are held is not known.
        """
        from contrapposto.systems.sage.live.calibration import find_t_pose

        times, places = self._places(source)
        second = find_t_pose(times, places)
        if second is None:
            raise ConfigError(
                f"{source}: how the controllers are held is not known.",
                found="no T-pose (arms out, level, held for a second) in the recording",
                fix="record one, or name its second: task.calibrate=SECOND; or name the axes: task.axes=",
            )
        second -= float(times[0])
        print(
            f"T-pose found at {second:.1f} s: it shows how the controllers are held; task.calibrate= names another"
        )
        return second

    def write(
        self,
        motion: Motion,
        recording: Recording,
        stem: Path,
        truth: Motion | None = None,
        others: Mapping[str, Motion] | None = None,
    ) -> list[Path]:
        """Write a tracked motion in the wanted formats, and the devices as CSV."""
        from contrapposto.io.device_csv import write_csv
        from contrapposto.render import render_motion_video

        motion = replace(motion, metadata={**motion.metadata, **self.metadata})
        paths = write_formats(motion, stem, [name for name in self.formats if name != "mp4"])
        devices = recording.devices()
        paths.append(write_csv(stem.with_name(f"{stem.name}_devices.csv"), devices))
        if "mp4" in self.formats:
            from contrapposto.systems.sage.device_marks import tracker_marks

            clips = {} if truth is None else {"truth": truth}
            clips |= {**(others or {}), self.method if others else "tracked": motion}
            path = stem.with_name(f"{stem.name}.mp4")
            paths.append(render_motion_video(path, clips, extras=tracker_marks(devices), progress=True))
        return paths


class SageReconstruct:
    """Send a clip through the two SAGE VQ-VAEs and write what comes back.

    Args:
        formats: see `Convert`; the video shows the clip and its reconstruction side by side.
        data, experiment: the runs to use, as in train.py; `upper` and `lower` name checkpoints or runs directly.
    """

    def __init__(
        self,
        formats: Sequence[str] = FORMATS,
        data: str = "demo",
        experiment: str | None = None,
        upper: str | None = None,
        lower: str | None = None,
    ) -> None:
        self.formats, self.data, self.experiment = list(formats), data, experiment
        self.checkpoints = {"sage_upper_vqvae": upper, "sage_lower_vqvae": lower}

    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Reconstruct `source` into files in `output`."""
        from contrapposto.systems.sage.reconstruction import PartAutoencoder

        stem = free_stem(output / f"{source.stem}_reconstructed", endings(self.formats))
        motion = read_clip(source).resample(60)
        result = motion
        for model, checkpoint in self.checkpoints.items():
            path = checkpoint or self._best(config, model)
            result = PartAutoencoder.from_pretrained(path).reconstruct(result)
        paths = write_formats(result, stem, [name for name in self.formats if name != "mp4"])
        if "mp4" in self.formats:
            from contrapposto.render import render_motion_video

            paths.append(
                render_motion_video(
                    stem.with_name(f"{stem.name}.mp4"),
                    {"input": motion, "reconstruction": result},
                    progress=True,
                )
            )
        return paths

    def _best(self, config: DictConfig, model: str) -> Path:
        return best_run(config.paths.runs, model, self.data, self.experiment).checkpoint


def with_settings(
    finishing: Finishing,
    smooth: bool | None,
    reach: bool | None,
    plant: bool | None,
    floor: float | bool | None,
) -> Finishing:
    """Settings with those replaced that are not None; `floor` False is no floor."""
    if smooth is not None:
        finishing = replace(finishing, smooth=smooth)
    if reach is not None:
        finishing = replace(finishing, reach=reach)
    if plant is not None:
        finishing = replace(finishing, plant=plant)
    if floor is not None:
        finishing = replace(finishing, floor=None if floor is False else float(floor))
    return finishing


def prepared(model: Any, steps: int | None, speed: str) -> Any:
    """A tracker with another number of sampling steps and folded weights; a student with 8-bit weights, if asked for;
    other models come back as they are.

    Raises:
        ConfigError: steps for a model that has none.
    """
    from contrapposto.systems.sage.student import StudentTracker, eight_bits
    from contrapposto.systems.sage.tracker import SageTracker

    if not isinstance(model, SageTracker):
        if steps is not None:
            raise ConfigError(f"steps={steps}: this model has no sampling steps.", fix="leave task.steps out")
        if speed == "int8" and isinstance(model, StudentTracker):
            return eight_bits(model)
        return model
    if steps is not None and not 1 <= steps <= 1000:
        raise ConfigError(f"steps={steps} cannot be used.", expected="1 to 1000")
    from contrapposto.systems.sage.fast import PreparedDiffusion

    if isinstance(model.first, PreparedDiffusion):
        if steps not in (None, model.steps):
            raise ConfigError(
                f"steps={steps}: the file was prepared for {model.steps}.",
                fix="export it again with task.steps",
            )
        return model
    if speed == "exact":
        model.steps = steps or model.steps
        return model
    from contrapposto.systems.sage.fast import prepare_tracker

    return prepare_tracker(model, steps=steps, linears="int8" if speed == "int8" else "packed")


def part_of(
    tracks: Iterator[DeviceTrack], start: float | None, seconds: float | None
) -> Iterator[DeviceTrack]:
    """The stretch that begins `start` seconds after the first frame; reading ends with it."""
    first: float | None = None
    for track in tracks:
        if first is None:
            first = float(track.times[0])
        begin = first + (start or 0.0)
        end = np.inf if seconds is None else first + (start or 0.0) + seconds
        chosen = np.array((track.times >= begin) & (track.times < end))
        if start is None and seconds is None:
            yield track
        elif chosen.any():
            yield track.part(chosen)
        if track.times[-1] >= end:
            return


def all_seen(tracks: Iterator[DeviceTrack]) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (F, 3, 3, 3) and positions (F, 3, 3) of the frames in which all devices are tracked.

    Raises:
        InputError: there are hardly any.
    """
    rotations, positions = [], []
    for track in tracks:
        good = track.part(np.array(track.tracked.all(1)))
        rotations.append(good.rotations.numpy())
        positions.append(good.positions.numpy())
    if sum(map(len, rotations)) < 5:
        raise InputError(
            "There is no T-pose at this time of the recording.",
            found=f"{sum(map(len, rotations))} frames with all three devices tracked",
            fix="name another second: task.calibrate=SECOND",
        )
    return np.concatenate(rotations), np.concatenate(positions)


def report(source: Path, counts: Counter[str]) -> None:
    """Print what was repaired."""
    for kind, count in sorted(counts.items()):
        print(f"{source.name}: {count} x {kind}")
