"""Look at what the suite reads and writes, in the browser."""

import sys

HELP = """
Look at it in the browser: a timeline, a camera to turn, errors in colour, pictures and videos to save (docs/viewer.md).

  python view.py out/motion.npz                 a clip (.npz, .bvh, .amc); several: side by side or in one place
  python view.py truth.npz result.npz           and the second one's errors in colour
  python view.py data/demo  or  data/demo/CLIP  a store that prepare.py wrote, or one of its clips
  python view.py knight.glb  out/knight_obj     meshes and their sequences (.obj .glb .ply .stl .off .anime)
  python view.py log.txt                        a recording of a headset (.txt, .csv, .jsonl)
  python view.py out/motion.npz clip.mp4        people of a video: figures, and keypoints over the video
  python view.py stores/anerf_scene             cameras, pictures and poses of an avatar's scene
  python view.py runs/MODEL/TIME ...            metrics of training runs over time

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
    from contrapposto.viewer import Viewer, open_paths

    found = open_paths(files)
    viewer = Viewer(found.clips, things=found.things, runs=found.runs, library=found.library, port=port)
    print(f"{', '.join(files)}: {viewer.url} (end with Ctrl+C)", flush=True)
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
