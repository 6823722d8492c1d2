"""The page of `contrapposto studio`: five tabs, one for each system."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contrapposto.errors import ContrappostoError, MissingError
from contrapposto.studio import commands
from contrapposto.studio.commands import Steps
from contrapposto.studio.examples import Examples, make_examples
from contrapposto.systems.scail_pose.service.limits import MIB, Limits
from contrapposto.systems.scail_pose.service.process import WorkerLost, WorkerProcess

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported
try:
    import gradio as gr
except ImportError as error:  # pragma: no cover
    _MISSING: ImportError | None = error
else:
    _MISSING = None

if TYPE_CHECKING:
    from gradio.events import Dependency

LIMITS = Limits(upload=64 * MIB, seconds=20.0, output_side=896, waiting=16, job_seconds=600.0, keep=3600.0)
"""What the page takes on; `seconds` is the longest motion or stretch of a video."""
WORKER = (sys.executable, "-m", "contrapposto.studio.worker")
_QUEUE = "work"  # one job at a time
_DOWNLOADS = (".glb", ".bvh", ".npz", ".mp4", ".html", ".csv", ".json")
_CSS = """
.gradio-container { max-width: 1280px !important; margin: 0 auto !important; }
#title h1 { margin: 0.2em 0 0; font-size: 1.9em; }
#title p { margin: 0.1em 0 0.4em; color: var(--body-text-color-subdued); }
#note { color: var(--body-text-color-subdued); font-size: 0.9em; }
"""
_CREDIT = (
    "Everything runs on the machine that serves this page. Uploads and results are removed after an hour at most, "
    "and nothing is sent elsewhere. The models are small: how well they do is in `docs/results.md`."
)


class Studio:
    """Runs what the page asks for, one job after the other, in a process of its own.

    Args:
        folder: for uploads and results.
        limits: see `LIMITS`.
        device: of all commands, see `contrapposto.devices`.
    """

    def __init__(self, folder: Path, limits: Limits = LIMITS, device: str = "auto") -> None:
        self.folder, self.limits = folder, limits
        self.options = [] if device == "auto" else [f"device={device}"]
        self.worker = WorkerProcess(WORKER)

    async def run(self, make: Callable[[Path], Steps], progress: Callable[..., Any]) -> tuple[Any, ...]:
        """Values of the result area: model, video, downloads, commands.

        Args:
            make: the commands of a job, given its folder.
            progress: called with a share and a stage.

        Raises:
            gr.Error: in words for the person who asked.
        """
        self.tidy()
        folder = self.folder / secrets.token_hex(8)
        folder.mkdir(parents=True, mode=0o700)
        try:
            steps = [[*step, *self.options] for step in make(folder)]
            answer = await self.worker.ask({"steps": steps}, progress, self.limits.job_seconds)
        except ContrappostoError as error:
            answer = {"error": str(error)}
        except TimeoutError:
            answer = {"error": f"It took longer than {self.limits.job_seconds:g} seconds and was stopped."}
        except WorkerLost:
            answer = {
                "error": "The process that worked on it ended: the files may be damaged, or memory was short."
            }
        if "error" in answer:
            shutil.rmtree(folder, ignore_errors=True)
            raise gr.Error(_words(answer["error"], folder), duration=None, print_exception=False)
        return self._results(answer["result"]["files"], steps, folder)

    def tidy(self) -> None:
        """Remove what is older than the limits allow."""
        for job in self.folder.glob("*"):
            if job.name != "examples" and time.time() - job.stat().st_mtime > self.limits.keep:
                shutil.rmtree(job, ignore_errors=True)

    @staticmethod
    def _results(files: list[list[str]], steps: Steps, folder: Path) -> tuple[Any, ...]:
        results = folder / "results"
        paths = [path for step in files for path in map(Path, step) if path.is_relative_to(results)]
        model, video = (next((str(p) for p in paths if p.suffix == end), None) for end in (".glb", ".mp4"))
        downloads = [str(path) for path in paths if path.suffix in _DOWNLOADS]
        return (
            gr.update(value=model),
            gr.update(value=video, visible=video is not None),
            gr.update(value=downloads, visible=True),
            gr.update(value=commands.shown(steps, folder), visible=True),
        )


def _words(error: str, folder: Path) -> str:
    """An error without the names of this machine's folders."""
    return error.replace(f"{folder}/inputs/", "").replace(str(folder), "the job's folder")


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


def build(
    folder: Path, limits: Limits = LIMITS, examples: Examples | None = None, *, device: str = "auto"
) -> Any:
    """The page, to be launched with `launch_options`.

    Args:
        folder: for uploads and results.
        limits: see `LIMITS`.
        examples: inputs to click; None: made in the folder.
        device: see `Studio`.

    Raises:
        MissingError: gradio is not installed.
    """
    if _MISSING is not None:
        raise MissingError("The studio needs gradio.", found=str(_MISSING), fix="pip install 'gradio>=6,<7'")
    studio = Studio(folder, limits, device)
    files = examples or make_examples(folder / "examples")
    keep = int(limits.keep)
    with gr.Blocks(analytics_enabled=False, title="Contrapposto studio", delete_cache=(600, keep)) as page:
        gr.Markdown(
            "# Contrapposto studio\nHuman pose and motion, five ways. Every tab is filled in: press its button.",
            elem_id="title",
        )
        with gr.Tab("Headset → body", id="track"):
            _track_tab(studio, files)
        with gr.Tab("Label → motion", id="generate"):
            _generate_tab(studio, files)
        with gr.Tab("Motion → mesh", id="mesh"):
            _mesh_tab(studio, files)
        with gr.Tab("Avatar", id="avatar"):
            _avatar_tab(studio, files)
        with gr.Tab("Video → people", id="people"):
            _people_tab(studio, files)
        gr.Markdown(_CREDIT, elem_id="note")
    page.queue(max_size=limits.waiting)
    return page


def launch_options(
    limits: Limits = LIMITS, hosts: Sequence[str] = ("localhost", "127.0.0.1")
) -> dict[str, Any]:
    """Options of `launch`: nothing from elsewhere is loaded, uploads are limited.

    Args:
        limits: see `LIMITS`.
        hosts: names under which the page may be reached; others are refused, so that no other web page reads this
            one through a name of its own. `*`: any.
    """
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    theme = gr.themes.Soft(
        primary_hue="orange",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    return {
        "theme": theme,
        "css": _CSS,
        "share": False,
        "ssr_mode": False,
        "enable_monitoring": False,
        "footer_links": [],
        "max_file_size": limits.upload,
        "show_error": True,
        "quiet": True,
        "app_kwargs": {"middleware": [Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))]},
    }


def _track_tab(studio: Studio, files: Examples) -> None:
    with gr.Row():
        with gr.Column(scale=4):
            gr.Markdown(
                "A headset and two controllers say where head and hands are. The tracker finds the whole body."
            )
            recording = gr.File(
                files.recordings[0], label="Recording (.csv, .txt, .jsonl) or motion", height=110
            )
            seconds = _seconds(studio, "Seconds of it", 4)
            height = gr.Number(
                0, label="Height of the wearer in metres (0: the default figure)", minimum=0, maximum=3
            )
            video = _video_box()
            button = _button("Track the body")
            stop = gr.Button("Stop", size="sm")
            gr.Examples([[path] for path in files.recordings], [recording], label="Examples")
        area = _area()

    async def run(a: Any, b: Any, c: Any, d: Any, progress: Any = gr.Progress()) -> tuple[Any, ...]:  # noqa: B008
        return await studio.run(lambda folder: commands.track(folder, a, b, c, d), progress)

    _connect(button, stop, run, [recording, seconds, height, video], area, "track")


def _generate_tab(studio: Studio, files: Examples) -> None:
    actions = action_names()
    with gr.Row():
        with gr.Column(scale=4):
            gr.Markdown("Motion from action labels and a length; with a past, what may follow it.")
            chosen = gr.Dropdown(
                actions, value=["walk", "wave both hands"], multiselect=True, label="Actions in order"
            )
            seconds = _seconds(studio, "Seconds of each", 2.5)
            past = gr.File(label="Past (optional): .npz, .bvh or .glb", height=110)
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
        area = _area()

    async def run(a: Any, b: Any, c: Any, d: Any, e: Any, progress: Any = gr.Progress()) -> tuple[Any, ...]:  # noqa: B008
        return await studio.run(lambda folder: commands.generate(folder, a, b, c, d or 0, e), progress)

    _connect(button, stop, run, [chosen, seconds, past, seed, video], area, "generate")


def _mesh_tab(studio: Studio, files: Examples) -> None:
    with gr.Row():
        with gr.Column(scale=4):
            gr.Markdown(
                "Any mesh (.glb .vrm .obj .ply .stl .off) takes the poses of a motion (.npz .bvh .glb); it needs no skeleton."
            )
            with gr.Row():
                mesh = gr.File(files.meshes[0], label="Mesh", height=110)
                motion = gr.File(files.motions[2], label="Motion", height=110)
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


def _avatar_tab(studio: Studio, files: Examples) -> None:
    with gr.Row():
        with gr.Column(scale=4):
            gr.Markdown(
                "An avatar learnt from images: see it from all sides, or let it do what a motion shows."
            )
            move = gr.Radio(list(commands.MOVES), value=commands.MOVES[0], label="What")
            motion = gr.File(files.motions[2], label="Motion of the dance: .npz .bvh .glb", height=110)
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


def _people_tab(studio: Studio, files: Examples) -> None:
    with gr.Row():
        with gr.Column(scale=4):
            gr.Markdown(
                "The people of a video in 3D, and the pose video that drives a video model. "
                "With an image of a character, it is fitted to that character."
            )
            with gr.Row():
                video = gr.Video(files.videos[0], label="Video", sources=["upload"], height=220)
                image = gr.Image(
                    files.images[0],
                    label="Character (optional)",
                    type="filepath",
                    sources=["upload"],
                    height=220,
                )
            seconds = _seconds(studio, "Seconds of it", 2)
            size = _pixels(studio, 128, 256, "Short side of the pose video, pixels")
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


def _pixels(studio: Studio, least: int, value: int, label: str) -> Any:
    most = max(min(512, studio.limits.output_side), least + 64)
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
        files = gr.Files(label="Files to download", visible=False)
        command = gr.Code(label="The same at the command line", language="shell", lines=1, visible=False)
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
