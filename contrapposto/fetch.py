"""Published models from a web address: contrapposto fetch ADDRESS/MODEL/NAME sha256=HASH [runs=runs]

`contrapposto publish` prints the hash. The model becomes `runs/MODEL/NAME`, which predict and evaluate find like any
other run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from contrapposto.data.download import download
from contrapposto.errors import ConfigError, ContrappostoError, InputError
from contrapposto.files import atomic_path
from contrapposto.publish import CARD, FILES, INDEX

OLD_FILES = tuple("card.md" if name == CARD else name for name in FILES)  # of older publications


def fetch(address: str, digest: str, runs: Path) -> Path:
    """Download a published model; every file is checked against the index, and the index against `digest`.

    Args:
        address: of the folder.
        digest: SHA-256 of its index.json.
        runs: where runs are.

    Raises:
        ConfigError: there is such a run already.
        MissingError, InputError: a file cannot be fetched, or is another one than was published.
    """
    model, name = address.rstrip("/").split("/")[-2:]
    folder = runs / model / name
    if folder.exists():
        raise ConfigError(f"{folder} is there already.", fix="delete it to fetch it again")
    with atomic_path(folder, directory=True) as temporary:
        download(f"{address.rstrip('/')}/{INDEX}", temporary / INDEX, digest=digest)
        index = json.loads((temporary / INDEX).read_text(encoding="utf-8"))
        if set(index) not in (set(FILES), set(OLD_FILES)):
            raise InputError(
                f"{address} is no published model.", found=", ".join(index), expected=", ".join(FILES)
            )
        for file in index:
            download(f"{address.rstrip('/')}/{file}", temporary / file, digest=index[file])
    return folder


def main(arguments: list[str] | None = None) -> int:
    """Fetch one model."""
    words = sys.argv[1:] if arguments is None else arguments
    addresses = [word for word in words if word.startswith(("http://", "https://"))]
    options = dict(word.split("=", 1) for word in words if word not in addresses and "=" in word)
    if len(addresses) != 1 or "sha256" not in options or set(options) - {"sha256", "runs"}:
        print(__doc__)
        return 2
    try:
        print(fetch(addresses[0], options["sha256"], Path(options.get("runs", "runs"))))
    except ContrappostoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
