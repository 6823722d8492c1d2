"""From raw files to windows: recipes, the motion store, feature caches, windows drawn by step."""

from contrapposto.data.store import ClipRecord, MotionStore

__all__ = ["ClipRecord", "MotionStore"]
