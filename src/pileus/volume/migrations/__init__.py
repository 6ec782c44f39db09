"""Schema of the volume service, forward only."""
