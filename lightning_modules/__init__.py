"""Wiring for training: losses, optimisers and named outputs; one stem per system."""
