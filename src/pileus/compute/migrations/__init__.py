"""Schema of compute, forward only."""
