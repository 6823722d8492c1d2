"""Look at motion, and at whatever else the suite writes, in a browser. Served to this machine only (viser).

The page gets the mesh once; while it plays, only the joints' places and rotations travel.
"""

from contrapposto.viewer.files import open_files
from contrapposto.viewer.opening import Opened, open_paths
from contrapposto.viewer.page import HOST, Viewer
from contrapposto.viewer.track import Track

__all__ = ["HOST", "Opened", "Track", "Viewer", "open_files", "open_paths"]
