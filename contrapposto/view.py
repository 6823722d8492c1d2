"""The command `contrapposto view`, in a checkout also `python view.py`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from contrapposto.errors import ConfigError, nearest

HELP = """
Show files in the browser: a timeline, a camera, errors in colour, images and videos to save (docs/viewer.md).

  contrapposto view out/motion.npz              a clip (.npz, .bvh, .amc); several: side by side or in one place
  contrapposto view truth.npz result.npz        the errors of the second one in colour
  contrapposto view stores/demo                 a store that prepare.py wrote, or one of its clips: stores/demo/CLIP
  contrapposto view knight.glb out/knight_obj   meshes and their sequences (.obj .glb .ply .stl .off .anime)
  contrapposto view log.txt                     a recording of a headset (.txt, .csv, .jsonl)
  contrapposto view out/motion.npz clip.mp4     people of a video: bodies, and keypoints over the video
  contrapposto view stores/anerf_scene          cameras, images and poses of an avatar's scene
  contrapposto view runs/MODEL/TIME ...         metrics of training runs over time

Options:
  port=8080       where the page is served, to this machine only (the next free port if it is taken)
  open=true       open the browser
"""
OPTIONS = {"port": "8080", "open": "true"}


def parse(arguments: Sequence[str]) -> tuple[list[str], int, bool]:
    """Files, port, and whether to open the browser.

    Raises:
        ConfigError: an option that cannot be used, or no file.
    """
    files, options = [], dict(OPTIONS)
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if argument.startswith("--"):
            raise ConfigError(f"There is no option {argument}.", expected="port=NUMBER or open=true|false")
        if equals and name in OPTIONS:
            options[name] = value
        elif equals and name.isidentifier() and not Path(argument).exists():
            raise ConfigError(f"{argument} is neither an option nor a file.", expected=nearest(name, OPTIONS))
        else:
            files.append(argument)
    if not options["port"].isdigit() or not 0 < int(options["port"]) < 65536:
        raise ConfigError(f"port={options['port']} cannot be used.", expected="a number from 1 to 65535")
    if options["open"].lower() not in ("true", "false"):
        raise ConfigError(f"open={options['open']} cannot be used.", expected="true or false")
    if not files:
        raise ConfigError("No file to show.", fix="name a file: contrapposto view out/motion.npz")
    return files, int(options["port"]), options["open"].lower() == "true"


def main(arguments: Sequence[str]) -> None:
    """Serve the page until the keyboard interrupt."""
    if {"-h", "--help"} & set(arguments):
        print(HELP.strip())
        return
    files, port, open_browser = parse(arguments)
    from contrapposto.viewer import Viewer, open_paths

    opened = open_paths(files)
    viewer = Viewer(
        opened.clips, drawables=opened.drawables, runs=opened.runs, library=opened.library, port=port
    )
    print(f"{', '.join(files)}: {viewer.url} (end with Ctrl+C)", flush=True)
    if open_browser:
        import webbrowser

        webbrowser.open(viewer.url)
    try:
        viewer.run()
    finally:
        viewer.stop()
