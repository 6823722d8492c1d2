"""The page shows the avatar, in Chromium."""

import shutil
import time

import numpy as np
import pytest

from contrapposto.systems.anerf.avatar import Avatar
from contrapposto.systems.anerf.paths import MODES
from contrapposto.systems.anerf.splats.web import write_page
from tests.browser import Browser
from tests.systems.anerf.splats.test_mesh import avatar


@pytest.mark.skipif(shutil.which("chromedriver") is None, reason="no chromedriver")
def test_the_avatar_stands_in_the_browser(tmp_path):
    made = avatar(800)
    frames = Avatar(made, made.figure.numpy(), 0.5).standing()
    path = MODES["selected"](frames, [0])
    page = write_page(tmp_path / "page.html", made, path.world_to_bone, 30.0, 0.5)
    browser = Browser()
    try:
        browser.call("/url", {"url": page.as_uri()})
        for _ in range(40):
            image = browser.image().astype(int)
            if (image < 128).any(-1).mean() > 0.02:
                break
            time.sleep(0.25)
    finally:
        browser.close()
    red = (image[..., 0] > 150) & (image[..., 2] < 80)
    blue = (image[..., 2] > 150) & (image[..., 0] < 80)
    rows = np.flatnonzero((red | blue).any(1))
    assert rows[-1] - rows[0] > 0.3 * len(image)  # head to toe
    assert red.mean() > 0.005 and blue.mean() > 0.005
    # The person looks at the camera: the left side, in red, is on the right.
    assert np.flatnonzero(red.any(0)).mean() > np.flatnonzero(blue.any(0)).mean()
