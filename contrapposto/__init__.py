"""Contrapposto: the human figure, its motion, and five research systems on top of them.

The library is plain torch and numpy: no Lightning, no Hydra, no import side effects.
"""

__version__ = "0.1.0"
