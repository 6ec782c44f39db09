"""Schema of the placement service, forward only."""
