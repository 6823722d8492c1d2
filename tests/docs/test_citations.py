"""References to documentation, in code and pages, lead to a file and a section that exist."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# docs/specs/anerf.md, section 8.4; docs/specs/npr.md, sections 2 and 5; docs/specs/sage.md, sections 2.3 to 3
CITATION = re.compile(
    r"docs/specs/(\w+)\.md(?:,\s*(?:#\s*)?sections?\s+((?:[\d.]*\d(?:,\s*|\s+and\s+|\s+to\s+)?)+))?"
)
PAGE = re.compile(r"\bdocs/[\w/]+\.md\b")
SUFFIXES = (".py", ".yaml", ".md", ".ipynb", ".toml")


def files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    names = listed.stdout.splitlines() if listed.returncode == 0 else []
    actual = [ROOT / name for name in names] or [*ROOT.rglob("*.py"), *ROOT.glob("docs/**/*.md")]
    return [path for path in actual if path.suffix in SUFFIXES and path.is_file() and path != Path(__file__)]


def sections(spec: str) -> set[str]:
    text = (ROOT / f"docs/specs/{spec}.md").read_text()
    return set(re.findall(r"^#+ ([\d.]*\d)\.? ", text, re.MULTILINE))


def problems(name: str, text: str) -> list[str]:
    missing = [f"{name}: {page}" for page in PAGE.findall(text) if not (ROOT / page).is_file()]
    for spec, numbers in CITATION.findall(text):
        if (ROOT / f"docs/specs/{spec}.md").is_file():
            known = sections(spec)
            missing += [
                f"{name}: docs/specs/{spec}.md, section {number}"
                for number in re.findall(r"[\d.]*\d", numbers)
                if number not in known
            ]
    return missing


def test_references_lead_somewhere():
    wrong = [
        problem
        for path in files()
        for problem in problems(str(path.relative_to(ROOT)), path.read_text("utf-8"))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "(docs/specs/sage.md, section 2.9)",
        "docs/specs/npr.md, sections 2\n    and 99",
        "docs/specs/nowhere.md",
        "see docs/nowhere.md",
    ],
)
def test_a_wrong_reference_is_noticed(text):
    assert problems("x", text)


def test_right_references_are_accepted():
    assert not problems(
        "x", "docs/specs/sage.md, sections 2.1, 2.3 and 8; docs/specs/anerf.md, section 8.4. docs/data.md"
    )
