"""Tables that a script writes into a page of the documentation, between two marks."""

from __future__ import annotations

import re
from pathlib import Path

from contrapposto.errors import InputError
from contrapposto.files import atomic_path


def write_between(page: Path, command: str, tables: str) -> None:
    """Replace what stands between `<!-- command -->` and `<!-- end -->`.

    Raises:
        InputError: the page has no such marks.
    """
    text, begin, end = page.read_text(encoding="utf-8"), f"<!-- {command} -->", "<!-- end -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise InputError(f"{page} has no place for the tables.", expected=f"{begin} and {end}")
    with atomic_path(page) as path:
        path.write_text(pattern.sub(lambda _: f"{begin}\n\n{tables}\n\n{end}", text), encoding="utf-8")
    print(page)
