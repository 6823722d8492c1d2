"""Golden cases that no test claims yet, by name."""

_NAMES = """
scail_pose_checks
scail_pose_reshape2d scail_pose_reshape3d
scail_pose_utils3d
"""

PENDING = frozenset(_NAMES.split())
