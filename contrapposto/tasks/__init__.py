"""What `predict` runs: one module per system, and `motion` for tools that need no network."""
