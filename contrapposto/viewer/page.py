"""The viewer's page: scene, controls, and the updates sent while it plays."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from contrapposto.body import BodyModel, clip_betas, load_body
from contrapposto.errors import InputError
from contrapposto.motion import Motion
from contrapposto.viewer.differences import ErrorMarks, color_scale, joint_errors
from contrapposto.viewer.drawables import Drawable
from contrapposto.viewer.export import add_export
from contrapposto.viewer.run_panel import add_runs
from contrapposto.viewer.scene import COLORS, HOST, add_figure, add_world, keep_above_floor, open_server
from contrapposto.viewer.track import Track

if TYPE_CHECKING:
    from contrapposto.report.runs import Run

SPEEDS = {"1/4": 0.25, "1/2": 0.5, "1": 1.0, "2": 2.0, "4": 4.0}
_TICK = 1 / 40  # seconds between updates
_SPACING = 1.5  # metres between bodies that stand side by side
_BEHIND = 1.5  # metres by which other drawables stand behind bodies that are shown as recorded
_LABEL_STEP = 0.14  # metres between the labels of bodies in one place
_LARGEST_LIST = 5000


class Viewer:
    """A page with bodies and other drawables.

    Args:
        clips: clips of the SMPL family by name, shown side by side.
        drawables: meshes, devices, videos and so on.
        runs: training runs whose metrics are drawn in the panel.
        library: names of clips to choose from in the page, and a function that loads one; it replaces `clips`.
        body: the mesh; default: the shipped body.
        port: where the page is served; the next free one if it is taken.

    Raises:
        InputError: nothing to show, or a skeleton that is not of the SMPL family.
    """

    def __init__(
        self,
        clips: Mapping[str, Motion],
        *,
        drawables: Sequence[Drawable] = (),
        runs: Sequence[Run] = (),
        library: tuple[Sequence[str], Callable[[str], Motion]] | None = None,
        body: BodyModel | None = None,
        port: int = 8080,
    ) -> None:
        if not clips and not drawables and not runs:
            raise InputError(
                "Nothing to show.", found="no clips", expected="at least one clip, drawable or run"
            )
        self.body = body or load_body()
        self.tracks = [Track.of(name, clip, self.body) for name, clip in clips.items()]
        self.drawables, self.runs = list(drawables), list(runs)
        self._server = open_server(port, f"{self.title} - Contrapposto")
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._clock = 0.0
        self._bones: list[Any] = []
        self._handles: list[Any] = []
        self._names: list[Any] = []
        self._marks: list[ErrorMarks] = []
        self._build_scene()
        self._build_controls(library)
        self._show_drawables()
        self._show_figures()

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self._server.get_port()}"

    @property
    def duration(self) -> float:
        """Seconds until the last clip ends."""
        ends = [track.motion.duration for track in self.tracks] + [
            drawable.duration for drawable in self.drawables
        ]
        return max(ends, default=0.0)

    @property
    def title(self) -> str:
        """Name of the first clip or drawable, usable as a file name."""
        names = [track.name for track in self.tracks] + [item.name for item in self.drawables]
        names += [run.model for run in self.runs] or ["viewer"]
        return "".join(letter if letter.isalnum() or letter in " -_." else "_" for letter in names[0])[:80]

    @property
    def seconds(self) -> float:
        """The time that is shown."""
        return self._clock

    @property
    def _last_mark(self) -> float:
        return max(np.floor(self.duration * 100) / 100, 0.01)

    def seek(self, seconds: float) -> None:
        """Show another time."""
        with self._lock:
            self._clock = float(np.clip(seconds, 0.0, self.duration))
            self._draw()

    def run(self) -> None:
        """Play until `stop` is called from another thread, or until a keyboard interrupt."""
        before = time.monotonic()
        while not self._stopped.wait(_TICK):
            now = time.monotonic()
            if self._playing.value:
                with self._lock:
                    step = (now - before) * SPEEDS[self._speed.value]
                    self._clock = (self._clock + step) % max(self.duration, _TICK)
                    self._draw()
            before = now

    @contextmanager
    def held(self) -> Iterator[None]:
        """Pause playback inside the block."""
        playing, self._playing.value = self._playing.value, False
        try:
            yield
        finally:
            self._playing.value = playing

    def stop(self) -> None:
        """Close the page's server."""
        self._stopped.set()
        self._server.stop()

    def _build_scene(self) -> None:
        scene = self._server.scene
        self._world = add_world(scene)

        @self._server.on_client_connect
        def _(client: Any) -> None:
            width = sum(self._widths()) - _SPACING
            client.camera.up_direction = (0.0, 0.0, 1.0)
            client.camera.fov = np.radians(40)
            client.camera.position = (1.2, -4.2 - 1.1 * width, 1.7 + 0.2 * width)
            client.camera.look_at = (0.0, 0.0, 0.9)
            keep_above_floor(client)

    def _build_controls(self, library: tuple[Sequence[str], Callable[[str], Motion]] | None) -> None:
        gui = self._server.gui
        gui.configure_theme(show_logo=False, show_share_button=False)
        gui.main_panel.dock_right()  # beside the scene, not over it
        gui.set_panel_label("Contrapposto")
        self._info = gui.add_markdown("")
        if library is not None:
            self._add_library(*library)
        self._playing = gui.add_checkbox("Play", True)
        self._speed = gui.add_dropdown("Speed", list(SPEEDS), initial_value="1")
        self._timeline: Any = gui.add_slider("Seconds", 0.0, self._last_mark, 0.01, 0.0)
        self._follow = gui.add_checkbox("Follow", True)
        several = len(self.tracks) > 1
        self._side_by_side = gui.add_checkbox("Side by side", True, visible=len(self._widths()) > 1)
        self._meshes_shown = gui.add_checkbox("Mesh", True, visible=bool(self.tracks))
        self._joints_shown = gui.add_checkbox("Joints", False, visible=bool(self.tracks))
        self._errors_shown = gui.add_checkbox("Error against the first", False, visible=several)
        self._error_scale = gui.add_slider("Red from (cm)", 1, 50, 1, 20, visible=False)
        self._legend = gui.add_html("", visible=False)
        add_export(gui, self)
        if self.runs:
            add_runs(gui, self.runs)

        @self._timeline.on_update
        def _(event: Any) -> None:
            if event.client is not None:  # moved by a person, not by us
                self.seek(float(self._timeline.value))

        @self._errors_shown.on_update
        def _(_: Any) -> None:
            self._error_scale.visible = self._legend.visible = self._errors_shown.value
            self._legend.content = color_scale(self._error_scale.value)

        @self._error_scale.on_update
        def _(_: Any) -> None:
            self._legend.content = color_scale(self._error_scale.value)

        controls = (self._follow, self._side_by_side, self._meshes_shown, self._joints_shown)
        for control in (*controls, self._errors_shown, self._error_scale):

            @control.on_update
            def _(_: Any) -> None:
                self.seek(self._clock)

    def _add_library(self, names: Sequence[str], load: Callable[[str], Motion]) -> None:
        """A text box that filters the names, and a list to choose from; lists of thousands would be slow."""
        gui = self._server.gui
        wanted = gui.add_text("Find", "")
        chosen = gui.add_dropdown("Clip", list(names[:_LARGEST_LIST]), initial_value=self.tracks[0].name)

        @wanted.on_update
        def _(_: Any) -> None:
            matches = [
                name for name in names if all(word in name.lower() for word in wanted.value.lower().split())
            ]
            if matches:
                chosen.options = matches[:_LARGEST_LIST]

        @chosen.on_update
        def _(_: Any) -> None:
            name = chosen.value
            if name != self.tracks[0].name:
                self.show({name: load(name)})

    def show(self, clips: Mapping[str, Motion]) -> None:
        """Replace the clips."""
        tracks = [Track.of(name, clip, self.body) for name, clip in clips.items()]
        with self._lock:
            if len(tracks) < 2:
                self._errors_shown.value = False  # redraws the old clips
            self.tracks = tracks
            for handle in self._handles:
                handle.remove()
            self._timeline.max = self._last_mark
            self._side_by_side.visible = len(self._widths()) > 1
            self._errors_shown.visible = len(tracks) > 1
            self._show_figures()

    def _widths(self) -> list[float]:
        """Widths in metres of everything side by side, bodies first."""
        return [_SPACING] * len(self.tracks) + [drawable.width for drawable in self.drawables]

    def _places(self) -> np.ndarray:
        """x of everything side by side, centred."""
        widths = np.array(self._widths())
        return np.cumsum(widths) - widths / 2 - widths.sum() / 2

    def _show_drawables(self) -> None:
        self._stands = []
        for number, drawable in enumerate(self.drawables):
            stand = self._server.scene.add_frame(f"/world/drawable_{number}", show_axes=False)
            drawable.add(self._server.scene, f"/world/drawable_{number}")
            self._stands.append(stand)

    def _show_figures(self) -> None:
        scene, body = self._server.scene, self.body
        self._handles, self._bones, self._names, self._skeletons = [], [], [], []
        self._marks = []
        for number, track in enumerate(self.tracks):
            color = COLORS[number % len(COLORS)]
            mesh = add_figure(scene, f"/world/figure_{number}", body, clip_betas(body, track.motion), color)
            lines = scene.add_line_segments(
                f"/world/joints_{number}",
                np.zeros((len(mesh.bones) - 1, 2, 3), np.float32),
                color,
                thickness=0.012,
            )
            name = scene.add_label(f"/world/name_{number}", track.name, anchor="bottom-center")
            self._handles += [mesh, lines, name]
            self._bones.append(mesh)
            self._skeletons.append(lines)
            self._names.append(name)
            if number:
                marks = ErrorMarks(scene, f"/world/errors_{number}", body.skeleton.num_joints)
                self._handles += marks.handles
                self._marks.append(marks)
        self.seek(0.0)

    def _draw(self) -> None:
        """Send the state at the current time; the caller holds the lock."""
        slots = self._places()
        spread = len(slots) > 1 and self._side_by_side.value
        frames = [track.frame_at(self._clock) for track in self.tracks]
        middles = [track.centre[frame] for track, frame in zip(self.tracks, frames)]
        with self._server.atomic():
            following = self._follow.value and not spread and bool(middles)
            middle = np.mean(middles, axis=0) if following else np.zeros(2)
            self._world.position = (*-middle, 0.0)
            for number, (track, frame) in enumerate(zip(self.tracks, frames)):
                shift = np.zeros(3)
                if spread:
                    home = track.centre[frame] if self._follow.value else track.centre[0]
                    shift[:2] = np.array([slots[number], 0.0]) - home
                self._draw_figure(number, track, frame, shift)
            for drawable, stand, slot in zip(self.drawables, self._stands, slots[len(self.tracks) :]):
                behind = _BEHIND if self.tracks and not spread else 0.0
                stand.position = (slot + middle[0], behind + middle[1], 0.0)
                drawable.draw(self._clock)
            texts = [track.describe(self._clock) for track in self.tracks]
            texts += [item.describe(self._clock) for item in self.drawables]
            text = "\n\n".join(texts)
            if self._info.content != text:
                self._info.content = text
            self._timeline.value = min(round(self._clock, 2), self._last_mark)

    def _draw_figure(self, number: int, track: Track, frame: int, shift: np.ndarray) -> None:
        places = track.positions[frame] + shift
        mesh, lines = self._bones[number], self._skeletons[number]
        wrong = number > 0 and self._errors_shown.value
        compared = self._errors_shown.value and len(self.tracks) > 1
        bare = compared and number == 0 and not self._meshes_shown.value  # the first clip stays visible
        mesh.visible = self._meshes_shown.value
        lines.visible = (self._joints_shown.value and not wrong) or bare
        opacity = 0.3 if wrong else None
        if mesh.opacity != opacity:
            mesh.opacity = opacity
        for bone, quaternion, place in zip(mesh.bones, track.quaternions[frame], places):
            bone.wxyz, bone.position = quaternion, place
        if lines.visible:
            parents = list(track.motion.skeleton.parents[1:])
            lines.points = np.stack([places[1:], places[parents]], axis=1).astype(np.float32)
        if number:
            self._marks[number - 1].show(wrong)
        label = track.name
        if wrong:
            errors = joint_errors(track, self.tracks[0], self._clock)
            above = track.motion.skeleton.parents
            self._marks[number - 1].draw(places, above, errors, self._error_scale.value)
            label = f"{track.name}: {errors[:22].mean():.1f} cm"
        if self._names[number].text != label:
            self._names[number].text = label
        head = places[15] if len(places) > 15 else places[-1]
        together = not (len(self._widths()) > 1 and self._side_by_side.value)
        self._names[number].position = head + np.array([0.0, 0.0, 0.28 + together * number * _LABEL_STEP])
