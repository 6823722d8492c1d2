"""Every way from three devices to a body, by name: what `task.method=` chooses from."""

from __future__ import annotations

from pathlib import Path

from contrapposto.devices import Device
from contrapposto.errors import ConfigError, nearest
from contrapposto.pretrained import load_pretrained
from contrapposto.systems.sage.official import is_official
from contrapposto.systems.sage.prepared_file import is_prepared, load_prepared
from contrapposto.systems.sage.recurrent_tracker import Tracker
from contrapposto.systems.sage.sparse_transformer import TransformerTracker
from contrapposto.systems.sage.student import StudentTracker
from contrapposto.systems.sage.tracker import SageTracker

AnyTracker = Tracker | SageTracker | StudentTracker | TransformerTracker

METHODS = {
    "tracker": "tracker",
    "sage": "sage_refiner",
    "student": "sage_student",
    "transformer": "sparse_transformer",
}
"""The model, as in `model=`, of every method."""
_CLASSES: dict[str, type[Tracker] | type[SageTracker] | type[StudentTracker] | type[TransformerTracker]] = {
    "tracker": Tracker,
    "sage_refiner": SageTracker,
    "sage_student": StudentTracker,
    "sparse_transformer": TransformerTracker,
}


def model_of(method: str) -> str:
    """The model of a method.

    Raises:
        ConfigError: there is no such method.
    """
    if method not in METHODS:
        raise ConfigError(f"There is no tracking method {method!r}.", expected=nearest(method, METHODS))
    return METHODS[method]


def load_tracker(name_or_path: str | Path, *, device: Device = None) -> AnyTracker:
    """A trained tracker of any method: a shipped model, run directory, published folder, checkpoint, official files, or a
    prepared tracker (`prepared_file`), which stays on the CPU.

    `device`: where it runs, see `contrapposto.devices.find_device`.

    Raises:
        ContrappostoError: there is none, or it is no tracker.
    """
    if is_prepared(name_or_path):
        return load_prepared(name_or_path)
    if is_official(name_or_path):
        return SageTracker.from_pretrained(name_or_path, device=device)
    pretrained = load_pretrained(name_or_path, models=tuple(_CLASSES))
    return _CLASSES[pretrained.model].from_pretrained(name_or_path, device=device)
