"""The skinned body: model, loaders, export (see `load_body`)."""

from contrapposto.body.loading import find_body, find_dmpls, load_body, using_backend
from contrapposto.body.model import BodyModel, BodyOutput, clip_betas, motion_vertices
from contrapposto.body.of_clip import clip_body
from contrapposto.body.shipped import export_shipped, named_shapes

__all__ = [
    "BodyModel",
    "BodyOutput",
    "clip_betas",
    "clip_body",
    "export_shipped",
    "find_body",
    "find_dmpls",
    "load_body",
    "motion_vertices",
    "named_shapes",
    "using_backend",
]
