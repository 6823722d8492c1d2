"""Words that this project does not use in names, messages, comments and pages; `make lint` runs it.

Names and prose should be the field's (CONTRIBUTING.md, "Language"). Each entry below gives the word to use instead. Text
is everything in strings, comments and pages; names are what Python code defines. `ALLOWED` holds, by folder, how many
uses remain from earlier; it may only shrink.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = {
    r"made motion": "synthetic motion",
    r"doors?": "entry point, command",
    r"house": "project, codebase",
    r"what the eye says": "qualitative assessment",
    r"mended?|mends": "fix, correct, repair",
    r"(?:is|are|be|was|were) told": "is conditioned on, is passed, is reported",
    r"books?": "codebook",
    r"pictures?": "image, frame, video",
    r"poses that nobody made": "generated poses",
    r"says": "states, shows, returns",
    r"light left": "transmittance",
    r"passed over": "ignored, skipped",
}
NAMES = {
    "found": "detections, matches, files",
    "told": "condition, message",
    "given": "inputs, the name of what it is",
    "facts": "metadata",
    "light_left": "transmittance",
    "books": "codebooks",
    "picture": "image",
    "pictures": "images",
    "thing": "item, drawable",
    "things": "items, drawables",
    "said": "text, lines",
    "made": "created, results",
}
# Names that stay: fields of errors ("what, found, expected, fix"), and options in published checkpoints.
KEPT = {"found", "num_books", "contrastive_books"}
KEPT_IN = {
    "contrapposto/errors.py": {"found"},
    "contrapposto/io/devices.py": {"found"},
    "contrapposto/mesh/gltf.py": {"found"},
    "contrapposto/nn/ema_quantizer.py": {"books"},  # an entry of checkpoints
}
ALLOWED: dict[str, int] = {
    "benchmarks/gpu": 9,
    "contrapposto/nn": 1,
}
SKIPPED = ("tools/words.py", "docs/specs/", "tests/")
SUFFIXES = (".py", ".yaml", ".yml", ".md", ".toml", ".cff", ".ipynb", ".html", ".js")
_PATTERN = re.compile(r"\b(" + "|".join(TEXT) + r")\b", re.IGNORECASE)


def files() -> list[Path]:
    """Files of the project that are checked."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    kept = [name for name in names if name.endswith(SUFFIXES) and not name.startswith(SKIPPED)]
    return [ROOT / name for name in kept if (ROOT / name).is_file()]


def in_text(text: str) -> Iterator[tuple[int, str]]:
    """Line number and word of each use in prose; option names in backticks and the like count as well."""
    for number, line in enumerate(text.splitlines(), 1):
        for match in _PATTERN.finditer(line):
            if match.group(0) not in KEPT:
                yield number, match.group(0)


def python_prose(source: str) -> Iterator[tuple[int, str]]:
    """Strings and comments of a module, with their line numbers."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1)):
            for offset, line in enumerate(token.string.splitlines()):
                yield token.start[0] + offset, line


def python_names(source: str) -> Iterator[tuple[int, str]]:
    """Names that a module defines: variables, arguments, functions, classes, attributes of self."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.lineno, node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def private_word(name: str) -> str | None:
    """The private word that a name is or contains, if any."""
    if name in KEPT - {"found"}:
        return None
    parts = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().strip("_").split("_")
    joined = "_".join(parts)
    return next(
        (word for word in NAMES if word == joined or word in parts or ("_" in word and word in joined)), None
    )


def problems(path: Path) -> list[str]:
    """`file:line: word (use ...)` for each use in a file."""
    name = path.relative_to(ROOT).as_posix()
    source = path.read_text(encoding="utf-8")
    lines = []
    if path.suffix == ".py":
        prose = [(number, word) for number, line in python_prose(source) for _, word in in_text(line)]
        kept = KEPT_IN.get(name, set())
        for number, identifier in python_names(source):
            word = private_word(identifier)
            if word is not None and word not in kept:
                lines.append(f"{name}:{number}: name {identifier} (use {NAMES[word]})")
    else:
        prose = list(in_text(source))
    lines += [f"{name}:{number}: {word!r} (use {_instead(word)})" for number, word in prose]
    return lines


def _instead(word: str) -> str:
    return next(better for pattern, better in TEXT.items() if re.fullmatch(pattern, word, re.IGNORECASE))


def area(line: str) -> str:
    """The folder that `ALLOWED` counts: `contrapposto/systems/sage`, `tests/systems`, `docs`, ..."""
    parts = line.partition(":")[0].split("/")[:-1]
    depth = 3 if parts[:2] == ["contrapposto", "systems"] else 2
    return "/".join(parts[:depth]) or "."


def main() -> int:
    """Print what is new or more than allowed; 1 if there is any."""
    uses = [line for path in files() for line in problems(path)]
    counts = Counter(area(line) for line in uses)
    if "--count" in sys.argv:
        for folder, count in sorted(counts.items()):
            print(f'    "{folder}": {count},')
        return 0
    wanted = [word for word in sys.argv[1:] if not word.startswith("-")]
    over = {folder for folder, count in counts.items() if count > ALLOWED.get(folder, 0)}
    shown = [line for line in uses if area(line) in over or any(line.startswith(word) for word in wanted)]
    print(*shown, sep="\n") if shown else None
    for folder, allowed in ALLOWED.items():
        if counts[folder] < allowed:
            print(
                f"note: {folder} has {counts[folder]} uses; lower its number in tools/words.py from {allowed}"
            )
    if over:
        print(f"{len(shown)} private words; see tools/words.py", file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
