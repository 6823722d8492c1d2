"""Use a trained model, or a tool of the suite, on your own files: the same as `contrapposto predict`."""

import sys

from contrapposto.cli import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))
