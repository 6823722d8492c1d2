"""Network blocks that several systems share."""
