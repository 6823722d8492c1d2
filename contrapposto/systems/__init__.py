"""Networks, losses and inference of the systems."""
