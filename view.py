"""Look at motion in the browser."""

import sys

HELP = """
Look at motion in the browser: skinned figures, a timeline, a camera to turn.

  python view.py out/motion.npz                 one clip (.npz, .bvh, .amc)
  python view.py truth.npz result.npz           several, side by side or in one place
  python view.py data/demo                      a store that prepare.py wrote: choose clips in the page
  python view.py data/demo/CLIP                 one clip of a store

Options:
  port=8080       where the page is served, to this machine only (the next free port if it is taken)
  open=true       open the browser
"""
OPTIONS = {"port": "8080", "open": "true"}


def parse(arguments):  # noqa: ANN001, ANN201
    """Files and options of the command line."""
    import os

    from contrapposto.errors import ConfigError, nearest

    files, options = [], dict(OPTIONS)
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and name in OPTIONS:
            options[name] = value
        elif equals and name.isidentifier() and not os.path.exists(argument):
            raise ConfigError(f"{argument} is neither an option nor a file.", expected=nearest(name, OPTIONS))
        else:
            files.append(argument)
    if not options["port"].isdigit() or not 0 < int(options["port"]) < 65536:
        raise ConfigError(f"port={options['port']} cannot be used.", expected="a number from 1 to 65535")
    if options["open"].lower() not in ("true", "false"):
        raise ConfigError(f"open={options['open']} cannot be used.", expected="true or false")
    if not files:
        raise ConfigError("Nothing to look at.", fix="name a file: python view.py out/motion.npz")
    return files, int(options["port"]), options["open"].lower() == "true"


def main(arguments):  # noqa: ANN001, ANN201
    """Serve the page until the keyboard interrupt."""
    files, port, open_browser = parse(arguments)
    from contrapposto.viewer import Viewer, open_files

    clips, library = open_files(files)
    viewer = Viewer(clips, library=library, port=port)
    print(f"{', '.join(clips)}: {viewer.url} (end with Ctrl+C)", flush=True)
    if open_browser:
        import webbrowser

        webbrowser.open(viewer.url)
    try:
        viewer.run()
    finally:
        viewer.stop()


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(HELP)
        sys.exit(0)
    from contrapposto.errors import ContrappostoError

    try:
        main(sys.argv[1:])
    except ContrappostoError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print()
