"""The documentation builds as a site without a warning, and says what can be done."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.browser import Browser
from tests.docs.known import known_names

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]


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
    built = {page.stem for page in tmp_path.rglob("*.html")}
    assert pages <= built
    assert "search/search_index.js" in {
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.js")
    }
    for page in tmp_path.rglob("*.html"):
        assert not re.search(r'<(?:script|iframe)[^>]*src="https?:', page.read_text()), page
    html = (tmp_path / "start.html").read_text()
    if shutil.which("chromedriver"):
        assert search_from_disk(tmp_path, "codebook") > 3
    assert not re.search(
        r'(src|href)="https?://(?!github)[^"]*\.(js|css|woff2?)"', html
    )  # nothing from elsewhere


def search_from_disk(site, word):
    """Pages that the search of an opened file lists for a word."""
    browser = Browser()
    script = """
        const box = document.querySelector(".md-search__input");
        box.focus(); box.value = arguments[0];
        for (const kind of ["input", "keyup"]) box.dispatchEvent(new Event(kind, {bubbles: true}));
        return document.querySelectorAll(".md-search-result__item").length"""
    try:
        browser.call("/url", {"url": (site / "index.html").as_uri()})
        deadline, count = time.monotonic() + 60, 0
        while not count and time.monotonic() < deadline:
            time.sleep(1)
            count = browser.call("/execute/sync", {"script": script, "args": [word]})
        return count
    finally:
        browser.close()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_a_page_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_name_what_there_is(page):
    """Models, tasks, experiments and the like of the commands in the pages exist."""
    known = known_names()
    ours = {"recurrent", "studio"}  # of the tutorials
    for line in re.findall(
        r"(?:python (?:train|evaluate|predict|prepare)\.py|contrapposto predict) [^`\n]*", page.read_text()
    ):
        command = line.partition(" #")[0]
        for group, value in re.findall(r"\s(model|task|experiment|pipeline|data|trainer)=([\w|]+)", command):
            for option in value.split("|"):
                assert option.isupper() or option in {*known[group], *ours}, f"{group}={option} in: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_page_installs_the_package_from_an_index(page):
    assert not re.search(r"pip install [\"']?contrapposto", page.read_text())


def test_every_system_page_begins_with_what_it_does():
    """An image, then the command that works at once, the one with official weights, and the one that trains."""
    for name in ("sage", "posegpt", "npr", "anerf", "scail_pose"):
        start = (ROOT / f"docs/{name}.md").read_text()[:1800]
        order = [start.find(part) for part in ("![", "| works at once", "official weights |", "| trains |")]
        order[2] = max(order[2], start.find("authors' weights |"))
        assert min(order) > 0 and order == sorted(order), name


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
    assert len((ROOT / "docs/glossary.md").read_text().splitlines()) <= 60
