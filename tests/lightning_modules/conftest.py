"""All stages of SAGE trained once at a tiny size."""

import pytest

from tests.lightning_modules.sage_tiny import TRAINED, entry_point, tiny


@pytest.fixture(scope="session")
def stages(stores, tmp_path_factory):
    """A folder of runs with one finished run of every model."""
    runs = tmp_path_factory.mktemp("stages")
    for model in TRAINED:
        entry_point("train", tiny(model, stores, runs))
    return runs
