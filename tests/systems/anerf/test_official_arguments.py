"""args.txt of the original beside its checkpoint."""

import pytest
import torch

from contrapposto.errors import InputError
from contrapposto.systems.anerf.model import ANeRF, ANeRFConfig
from contrapposto.systems.anerf.official import load_official


def test_options_that_no_shape_tells_are_read(tmp_path):
    network = ANeRF(ANeRFConfig(width=32))
    parts = {
        f"network_{name}_state_dict": dict(part.state_dict())
        for name, part in (("fn", network.coarse), ("fine", network.fine))
    }
    torch.save({"global_step": 1, **parts}, tmp_path / "000001.tar")
    assert load_official(tmp_path / "000001.tar").config.coarse_samples == 64
    (tmp_path / "args.txt").write_text(
        "N_samples = 48\nN_importance = 8\ndensity_type = softplus\nlindisp = True\nexpname = a = b\n"
    )
    config = load_official(tmp_path / "000001.tar").config
    assert (config.coarse_samples, config.fine_samples, config.density, config.inverse_depth) == (
        48,
        8,
        "softplus",
        True,
    )
    (tmp_path / "args.txt").write_text("N_samples = many\n")
    with pytest.raises(InputError, match="N_samples"):
        load_official(tmp_path / "000001.tar")
