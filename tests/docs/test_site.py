"""The documentation builds as a site without a warning, and says what can be done."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.launch import groups

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]


def test_the_site_builds_strictly(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pages = {page.stem for page in PAGES} - {"README"}
    built = {page.stem for page in tmp_path.glob("*.html")}
    assert pages <= built
    html = (tmp_path / "start.html").read_text()
    assert not re.search(
        r'(src|href)="https?://(?!github)[^"]*\.(js|css|woff2?)"', html
    )  # nothing from elsewhere


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_of_a_page_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_name_what_there_is(page):
    """Models, tasks, experiments and the like of the commands in the pages exist."""
    known = groups()
    ours = {"recurrent", "studio"}  # of the tutorials
    for line in re.findall(
        r"^\s*(?:srun )?\S*python (?:train|evaluate|predict|prepare)\.py .*", page.read_text(), re.MULTILINE
    ):
        command = line.partition(" #")[0]
        for group, value in re.findall(r"\s(model|task|experiment|pipeline|data|trainer)=([\w|]+)", command):
            for option in value.split("|"):
                assert option in {*known[group], *ours}, f"{group}={option} in: {line}"
