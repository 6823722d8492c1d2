"""The list of words that the project avoids: it sees them, and none is used."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools import words

ROOT = Path(__file__).parents[1]


def test_no_private_words():
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    done = subprocess.run(
        [sys.executable, ROOT / "tools/words.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("found = 1", "found"),
        ("def f(given): ...", "given"),
        ("class PictureSource: ...", "PictureSource"),
        ("x.facts = {}", "facts"),
    ],
)
def test_names_are_seen(source, word):
    names = [name for _, name in words.python_names(source)]
    assert word in names and words.private_word(word)


@pytest.mark.parametrize(
    "text", ["The doors of the house.", "Its mended file", "one of the books", "the network is told"]
)
def test_prose_is_seen(text):
    assert list(words.in_text(text))
    module = f"def f():\n    '''{text}'''\n    # {text}\n    print(f'{{1}} {text}')\n"
    lines = [number for number, line in words.python_prose(module) if list(words.in_text(line))]
    assert lines == [2, 3, 4]


@pytest.mark.parametrize(
    "text",
    ["codebooks", "notebook", "indoors", "household", "The profound result", "outdoor_scene", "foundation"],
)
def test_other_words_are_not(text):
    assert not list(words.in_text(text))
    assert words.private_word(text.split()[-1]) is None


def test_errors_keep_their_fields():
    assert words.KEPT_IN["contrapposto/errors.py"] == {"found"}
