"""Schema of the image service, forward only."""
