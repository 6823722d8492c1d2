"""Live use of SAGE: packets of three devices in, a body out, frame by frame (docs/live.md)."""
