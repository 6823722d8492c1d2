"""The five tabs of the page, one for each system: inputs on the left, results on the right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contrapposto.studio import commands
from contrapposto.studio.examples import Examples
from contrapposto.studio.jobs import MISSING, Studio

if MISSING is None:
    import gradio as gr

if TYPE_CHECKING:
    from gradio.events import Dependency

_QUEUE = "work"  # one job at a time
_NEAR, _FAR = 3.6, 4.6  # metres from the camera to a figure that stays, and to one that walks


@dataclass
class _Area:
    """Where a tab shows what came out."""

    model: Any
    video: Any
    files: Any
    command: Any
    progress: Any
    """Where the progress is shown."""

    @property
    def outputs(self) -> list[Any]:
        """In the order of `Studio.run`."""
        return [self.model, self.video, self.files, self.command]


def track_tab(studio: Studio, files: Examples) -> None:
    """Three trackers to a body."""
    with gr.Row():
        with gr.Column(scale=4):
            gr.Markdown(
                "A headset and two controllers say where head and hands are. The tracker finds the whole body."
            )
            recording = gr.File(
                files.recordings[0], label="Recording (.csv, .txt, .jsonl) or motion", height=130
            )
            seconds = _seconds(studio, "Seconds of it", 4)
            height = gr.Number(
                0, label="Height of the wearer in metres (0: the default figure)", minimum=0, maximum=3
            )
            video = _video_box()
            button = _button("Track the body")
            stop = gr.Button("Stop", size="sm")
            gr.Examples([[path] for path in files.recordings], [recording], label="Examples")
        area = _area(radius=_NEAR)

    async def run(a: Any, b: Any, c: Any, d: Any, progress: Any = gr.Progress()) -> tuple[Any, ...]:  # noqa: B008
        return await studio.run(lambda folder: commands.track(folder, a, b, c, d), progress)

    _connect(button, stop, run, [recording, seconds, height, video], area, "track")


def generate_tab(studio: Studio, files: Examples) -> None:
    """Labels, a length, a past to motion."""
    actions = action_names()
    with gr.Row():
        with gr.Column(scale=4):
            gr.Markdown(
                "Motion from action labels and a length; with a past (.npz .bvh .glb), what may follow it."
            )
            chosen = gr.Dropdown(
                actions, value=["walk", "wave both hands"], multiselect=True, label="Actions in order"
            )
            seconds = _seconds(studio, "Seconds of each", 2.5)
            past = gr.File(label="Past (optional)", height=130)
            seed = gr.Number(0, label="Seed: another number gives another motion", precision=0, minimum=0)
            video = _video_box()
            button = _button("Generate")
            stop = gr.Button("Stop", size="sm")
            gr.Examples(
                [
                    [["walk", "wave both hands"], 2.5, None],
                    [["dance"], 4, None],
                    [["run", "jump"], 2, files.motions[1]],
                ],
                [chosen, seconds, past],
                label="Examples",
            )
        area = _area(radius=_FAR)

    async def run(a: Any, b: Any, c: Any, d: Any, e: Any, progress: Any = gr.Progress()) -> tuple[Any, ...]:  # noqa: B008
        return await studio.run(lambda folder: commands.generate(folder, a, b, c, d or 0, e), progress)

    _connect(button, stop, run, [chosen, seconds, past, seed, video], area, "generate")


def mesh_tab(studio: Studio, files: Examples) -> None:
    """A mesh and a motion to the mesh in motion."""
    with gr.Row():
        with gr.Column(scale=4):
            gr.Markdown(
                "Any mesh (.glb .vrm .obj .ply .stl .off) takes the poses of a motion (.npz .bvh .glb); it needs no skeleton."
            )
            mesh = gr.File(files.meshes[0], label="Mesh", height=130)
            motion = gr.File(files.motions[2], label="Motion", height=130)
            seconds = _seconds(studio, "Seconds of it", 2)
            video = _video_box()
            button = _button("Pose the mesh")
            stop = gr.Button("Stop", size="sm")
            pairs = [[files.meshes[0], files.motions[2]], [files.meshes[1], files.motions[1]]]
            gr.Examples(pairs, [mesh, motion], label="Examples")
        area = _area()

    async def run(a: Any, b: Any, c: Any, d: Any, progress: Any = gr.Progress()) -> tuple[Any, ...]:  # noqa: B008
        return await studio.run(lambda folder: commands.pose_mesh(folder, a, b, c, d), progress)

    _connect(button, stop, run, [mesh, motion, seconds, video], area, "mesh")


def avatar_tab(studio: Studio, files: Examples) -> None:
    """The avatar as turntable or dance."""
    with gr.Row():
        with gr.Column(scale=4):
            gr.Markdown(
                "An avatar learnt from images: see it from all sides, or let it do what a motion shows."
            )
            move = gr.Radio(list(commands.MOVES), value=commands.MOVES[0], label="What")
            motion = gr.File(files.motions[2], label="Motion of the dance: .npz .bvh .glb", height=130)
            seconds = _seconds(studio, "Seconds of it", 3)
            size = _pixels(studio, 128, 384, "Height of the video, pixels")
            button = _button("Draw the avatar")
            stop = gr.Button("Stop", size="sm")
            moves = [
                [commands.MOVES[0], files.motions[2]],
                *([commands.MOVES[1], one] for one in files.motions[1:]),
            ]
            gr.Examples(moves, [move, motion], label="Examples")
        area = _area(video_first=True)

    async def run(a: Any, b: Any, c: Any, d: Any, progress: Any = gr.Progress()) -> tuple[Any, ...]:  # noqa: B008
        return await studio.run(lambda folder: commands.draw_avatar(folder, a, b, c, d), progress)

    _connect(button, stop, run, [move, motion, seconds, size], area, "avatar")


def people_tab(studio: Studio, files: Examples) -> None:
    """A video to people and the pose video."""
    with gr.Row():
        with gr.Column(scale=4):
            gr.Markdown(
                "The people of a video in 3D, and the pose video that drives a video model. "
                "With an image of a character (optional), it is fitted to that character."
            )
            with gr.Row():
                video = gr.Video(files.videos[0], label="Video", sources=["upload"], height=220)
                image = gr.Image(
                    files.images[0],
                    label="Character",
                    type="filepath",
                    sources=["upload"],
                    height=220,
                )
            seconds = _seconds(studio, "Seconds of it", 2)
            size = _pixels(studio, 128, 256, "Short side of the pose video, pixels", longer=1.75)
            button = _button("Find the people")
            stop = gr.Button("Stop", size="sm")
            gr.Examples([[files.videos[0], files.images[0]]], [video, image], label="Examples")
        area = _area(video_first=True)

    async def run(a: Any, b: Any, c: Any, d: Any, progress: Any = gr.Progress()) -> tuple[Any, ...]:  # noqa: B008
        return await studio.run(lambda folder: commands.find_people(folder, a, b, c, d), progress)

    _connect(button, stop, run, [video, image, seconds, size], area, "people")


def action_names() -> list[str]:
    """The labels of the shipped generator."""
    from contrapposto.data.vocabulary import Vocabulary

    return list(Vocabulary.load("free").names)


def _seconds(studio: Studio, label: str, value: float) -> Any:
    longest = studio.limits.seconds
    return gr.Slider(0.25, longest, min(value, longest), step=0.25, label=label)


def _pixels(studio: Studio, least: int, value: int, label: str, longer: float = 1.0) -> Any:
    """A slider for a side of a video; the other side may be `longer` times as long."""
    most = max(min(512, int(studio.limits.output_side / longer)), least + 64)
    return gr.Slider(least, most, min(value, most), step=64, label=label)


def _video_box() -> Any:
    return gr.Checkbox(False, label="Also a video (slower)")


def _button(text: str) -> Any:
    return gr.Button(text, variant="primary", size="lg")


def _area(video_first: bool = False, radius: float | None = None) -> _Area:
    """The right half of a tab; what has no content yet is hidden.

    Args:
        video_first: the video is the result, and the model beside it.
        radius: distance of the camera from the model, in its units; None: found by the viewer.
    """
    with gr.Column(scale=6):
        if video_first:
            video = gr.Video(label="Video", height=360, autoplay=True, loop=True)
        model = gr.Model3D(
            label="3D: drag to turn, wheel to zoom",
            height=320 if video_first else 460,
            clear_color=(0.93, 0.94, 0.96, 1.0),
            camera_position=(75, 80, radius),
        )
        if not video_first:
            video = gr.Video(label="Video", height=320, autoplay=True, loop=True, visible=False)
        files = gr.Files(label="Files to download", interactive=False, visible=False)
        command = gr.Code(
            label="The same at the command line",
            language="shell",
            lines=1,
            wrap_lines=True,
            show_line_numbers=False,
            interactive=False,
            visible=False,
        )
    return _Area(model, video, files, command, video if video_first else model)


def _connect(
    button: Any, stop: Any, run: Callable[..., Any], inputs: list[Any], area: _Area, name: str
) -> Dependency:
    event = button.click(
        run,
        inputs,
        area.outputs,
        api_name=name,
        concurrency_id=_QUEUE,
        concurrency_limit=1,
        show_progress_on=area.progress,
    )
    stop.click(None, cancels=[event])
    return event
