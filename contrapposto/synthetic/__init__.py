"""Made motion: labelled clips of a walking, waving, jumping figure, from a seed, of any length.

Nothing here is recorded: gaits follow published descriptions of human gait, gestures are keyframed, feet are locked by
inverse kinematics. It is a supply of motion with known truth for tests and first trainings, not a stand-in for
captured data.
"""

from contrapposto.synthetic.generator import ACTIONS, STYLES, generate, generate_sequence

__all__ = ["ACTIONS", "STYLES", "generate", "generate_sequence"]
