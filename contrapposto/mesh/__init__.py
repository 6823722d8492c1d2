"""Triangle meshes: operators, the Poisson layer, neighbours, sampling, cleaning, files."""
