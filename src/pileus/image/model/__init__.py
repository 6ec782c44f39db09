"""Tables and queries of the image service."""
