"""PoseGPT: motion from an action, a length and a past, as tokens of a quantised auto-encoder."""
