"""`python -m contrapposto`: the same as the command `contrapposto`."""

import sys

from contrapposto.cli import main

if __name__ == "__main__":
    sys.exit(main())
