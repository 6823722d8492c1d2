"""Synthetic motion: labelled clips of a walking, waving, jumping body, from a seed, of any length.

Nothing is recorded: gaits follow published descriptions of human gait, gestures are keyframed, feet are locked by
inverse kinematics. It provides motion with known truth for tests and first trainings; it does not replace
captured data.
"""

from contrapposto.synthetic.generator import ACTIONS, STYLES, generate, generate_sequence

__all__ = ["ACTIONS", "STYLES", "generate", "generate_sequence"]
