"""`python -m contrapposto.translate`: the same as `contrapposto translate`."""

import sys

from contrapposto.cli import main

if __name__ == "__main__":
    sys.exit(main(["translate", *sys.argv[1:]]))
