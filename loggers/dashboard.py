"""The wandb dashboard: one definition, from which docs/wandb.md and a user's workspace are made.

python -m loggers.dashboard --entity NAME --project contrapposto    create the workspace (needs wandb login)
python -m loggers.dashboard --markdown                              print the list of panels
python -m loggers.dashboard --write-docs                            renew that list in docs/wandb.md
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from contrapposto.errors import ContrappostoError, MissingError
from contrapposto.files import atomic_path

STEP = "trainer/global_step"
DOCS = Path(__file__).resolve().parents[1] / "docs" / "wandb.md"
_BEGIN, _END = "<!-- panels: python -m loggers.dashboard --write-docs -->", "<!-- end of panels -->"


@dataclass(frozen=True)
class Panel:
    """One panel.

    Args:
        title: what is written above it, with the unit.
        kind: `line` (over training steps), `bar` (last value of each run), `media` (videos, images,
            histograms) or `table`.
        keys: what it shows.
    """

    title: str
    kind: Literal["line", "bar", "media", "table"]
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A group of panels under a heading; `open` ones are shown without a click."""

    title: str
    panels: tuple[Panel, ...]
    open: bool = True


DASHBOARD: tuple[Section, ...] = (
    Section(
        "Errors in validation",
        (
            Panel("Position error (cm)", "line", ("val/mpjpe", "val/pa_mpjpe")),
            Panel(
                "Rotation error (degrees)", "line", ("val/mpjre", "val/mpjre_geodesic", "val/root_rotation")
            ),
            Panel("Velocity error (cm/s)", "line", ("val/mpjve",)),
            Panel("Hands (cm)", "line", ("val/hand",)),
            Panel("Jitter (m/s^3), of the model and of the truth", "line", ("val/jitter", "val/true_jitter")),
        ),
    ),
    Section(
        "Training",
        (
            Panel("Loss", "line", ("train/loss",)),
            Panel(
                "Terms of the loss, unweighted",
                "line",
                ("train/reconstruction", "train/quantizer", "train/kinematics", "train/hand"),
            ),
        ),
    ),
    Section(
        "Codebook",
        (
            Panel("Codes in use (share)", "line", ("val/codebook_use",)),
            Panel("Perplexity", "line", ("val/codebook_perplexity",)),
            Panel("How often each code is used", "media", ("val/codebook_histogram",)),
        ),
    ),
    Section(
        "Media of validation",
        (Panel("Truth and model, side by side", "media", ("media_val/video_1", "media_val/video_2")),),
    ),
    Section("Single clips", (Panel("Metrics of each validation clip", "table", ("val/clips",)),)),
    Section(
        "Test",
        (
            Panel("Position error (cm)", "bar", ("test/mpjpe", "test/pa_mpjpe")),
            Panel("Rotation error (degrees)", "bar", ("test/mpjre", "test/mpjre_geodesic")),
            Panel("Truth and model, side by side", "media", ("media_test/video_1", "media_test/video_2")),
            Panel("Metrics of each test clip", "table", ("test/clips",)),
        ),
        open=False,
    ),
    Section(
        "Speed",
        (
            Panel("Training steps per second", "line", ("time/steps_per_s",)),
            Panel("Samples per second, all processes", "line", ("time/samples_per_s",)),
            Panel("Share of time outside the step", "line", ("time/outside_step_share",)),
        ),
        open=False,
    ),
)


def workspace(entity: str, project: str, name: str = "Contrapposto") -> Any:
    """The dashboard as a `wandb_workspaces` workspace; `.save()` sends it, nothing before touches the
    network.

    Raises:
        MissingError: the package wandb-workspaces is not installed.
    """
    try:
        import wandb_workspaces.reports.v2 as reports
        import wandb_workspaces.workspaces as workspaces
    except ImportError as error:
        raise MissingError(
            "The dashboard needs the package wandb-workspaces.", fix='pip install "contrapposto[dashboard]"'
        ) from error
    sections = [
        workspaces.Section(
            name=section.title,
            panels=[_panel(reports, panel, number) for number, panel in enumerate(section.panels)],
            is_open=section.open,
        )
        for section in DASHBOARD
    ]
    settings = workspaces.WorkspaceSettings(x_axis=STEP)
    return workspaces.Workspace(
        entity=entity, project=project, name=name, sections=sections, settings=settings
    )


def _panel(reports: Any, panel: Panel, number: int) -> Any:
    layout = reports.Layout(x=8 * (number % 3), y=6 * (number // 3), w=8, h=6)
    keys = list(panel.keys)
    if panel.kind == "line":
        return reports.LinePlot(title=panel.title, x=STEP, y=keys, title_x="training step", layout=layout)
    if panel.kind == "bar":
        metrics = [reports.SummaryMetric(key) for key in keys]
        return reports.BarPlot(title=panel.title, metrics=metrics, layout=layout)
    if panel.kind == "media":
        return reports.MediaBrowser(title=panel.title, media_keys=keys, layout=layout)
    return reports.WeavePanelSummaryTable(table_name=keys[0], layout=layout)


def markdown() -> str:
    """The panels as Markdown tables."""
    lines: list[str] = []
    for section in DASHBOARD:
        folded = "" if section.open else " (folded)"
        lines += [f"### {section.title}{folded}", "", "| panel | kind | keys |", "|---|---|---|"]
        for panel in section.panels:
            keys = ", ".join(f"`{key}`" for key in panel.keys)
            lines.append(f"| {panel.title} | {panel.kind} | {keys} |")
        lines.append("")
    return "\n".join(lines)


def with_panels(text: str) -> str:
    """`text` with the list of panels between its two marks renewed."""
    before, _, rest = text.partition(_BEGIN)
    _, mark, after = rest.partition(_END)
    if not mark:
        raise MissingError("The document has no place for the panels.", expected=f"{_BEGIN} ... {_END}")
    return f"{before}{_BEGIN}\n\n{markdown()}\n{_END}{after}"


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m loggers.dashboard", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--entity", help="your wandb user or team")
    parser.add_argument("--project", default="contrapposto")
    parser.add_argument("--name", default="Contrapposto", help="name of the saved view")
    parser.add_argument("--markdown", action="store_true", help="print the list of panels")
    parser.add_argument("--write-docs", action="store_true", help="renew the list in docs/wandb.md")
    options = parser.parse_args(arguments)
    if options.markdown:
        print(markdown())
    elif options.write_docs:
        with atomic_path(DOCS) as temporary:
            temporary.write_text(with_panels(DOCS.read_text(encoding="utf-8")), encoding="utf-8")
        print(DOCS)
    elif not options.entity:
        parser.error("--entity NAME is needed: the wandb user or team whose project gets the dashboard")
    else:
        try:
            saved = workspace(options.entity, options.project, options.name).save()
        except ContrappostoError as error:
            print(error, file=sys.stderr)
            return 2
        print(saved.url)
    return 0


if __name__ == "__main__":
    sys.exit(main())
