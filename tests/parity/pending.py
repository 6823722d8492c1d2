"""Golden cases that no test claims yet, by name."""

_NAMES = """
anerf_data
scail_pose_blazepose_default scail_pose_checks
scail_pose_e2e_align_feet
scail_pose_e2e_align_upper scail_pose_e2e_default scail_pose_multi scail_pose_pose_preproc
scail_pose_reshape2d scail_pose_reshape3d
scail_pose_utils3d
"""

PENDING = frozenset(_NAMES.split())
