"""Tables and queries of the placement service."""
