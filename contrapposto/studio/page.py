"""The page of `contrapposto studio`: five tabs, one for each system."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contrapposto.errors import MissingError
from contrapposto.studio import tabs
from contrapposto.studio.examples import Examples, make_examples
from contrapposto.studio.jobs import LIMITS, MISSING, Studio
from contrapposto.systems.scail_pose.service.limits import Limits

if MISSING is None:
    import gradio as gr

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
    if MISSING is not None:
        raise MissingError("The studio needs gradio.", found=str(MISSING), fix="pip install 'gradio>=6,<7'")
    studio = Studio(folder, limits, device)
    files = examples or make_examples(folder / "examples")
    keep = int(limits.keep)
    with gr.Blocks(analytics_enabled=False, title="Contrapposto studio", delete_cache=(600, keep)) as page:
        gr.Markdown(
            "# Contrapposto studio\nHuman pose and motion, five ways. Every tab is filled in: press its button.",
            elem_id="title",
        )
        with gr.Tab("Headset → body", id="track"):
            tabs.track_tab(studio, files)
        with gr.Tab("Label → motion", id="generate"):
            tabs.generate_tab(studio, files)
        with gr.Tab("Motion → mesh", id="mesh"):
            tabs.mesh_tab(studio, files)
        with gr.Tab("Avatar", id="avatar"):
            tabs.avatar_tab(studio, files)
        with gr.Tab("Video → people", id="people"):
            tabs.people_tab(studio, files)
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
