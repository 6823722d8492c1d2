"""Look at motion in a browser: skinned figures on a ground, with a timeline. Served to this machine only (viser).

The page gets the mesh once; while it plays, only the joints' places and rotations travel.
"""

from contrapposto.viewer.files import open_files
from contrapposto.viewer.page import HOST, Viewer
from contrapposto.viewer.track import Track

__all__ = ["HOST", "Track", "Viewer", "open_files"]
