"""A-NeRF: a radiance field that a skeleton drives, learnt from frames and rough poses."""
