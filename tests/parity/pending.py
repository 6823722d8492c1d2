"""Golden cases that no test claims yet, by name."""

_NAMES = """
"""

PENDING = frozenset(_NAMES.split())
