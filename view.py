"""Show what the suite reads and writes, in the browser: the same as `contrapposto view`."""

import sys

from contrapposto.cli import main

if __name__ == "__main__":
    sys.exit(main(["view", *sys.argv[1:]]))
