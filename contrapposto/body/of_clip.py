"""The body of a clip: the official one that its shape coefficients belong to, where it is installed."""

from __future__ import annotations

import numpy as np

from contrapposto.body.loading import find_body, load_body
from contrapposto.body.model import BodyModel
from contrapposto.checks import note
from contrapposto.errors import MissingError
from contrapposto.motion import Motion

_LAYOUTS = ("smplh", "smpl")  # AMASS, and what older tools write; of the first that is installed


def clip_body(motion: Motion) -> BodyModel:
    """The body that shows a clip in a mesh or a video.

    A clip whose betas or gender belong to the SMPL family is shown by the official body of its gender, if `find_body`
    finds one. Else the shipped body shows it, and what is neglected is reported (`contrapposto.checks.note`).
    """
    shaped = bool(np.abs(motion.betas).max(initial=0.0) > 0)
    gender = motion.gender
    if motion.metadata.get("shape_space", "smpl") == "contrapposto" or not (shaped or gender != "neutral"):
        return load_body()
    for layout in _LAYOUTS:
        try:
            file = find_body(layout, gender)
        except MissingError:
            continue
        note(f"glb and mp4 show {file.name} with the betas of the clip")
        return load_body(layout, gender, file, num_betas=max(len(motion.betas), 1))
    what = " and ".join(["betas"] * shaped + [f"gender {gender}"] * (gender != "neutral"))
    note(
        f"{what} of the clip are kept in npz; glb and mp4 show the shipped figure, which they do not belong to "
        "(an official SMPL-H body in body_models/ would be used)"
    )
    return load_body()
