"""SAGE: full-body motion from a headset and two controllers (arXiv 2405.20786)."""
