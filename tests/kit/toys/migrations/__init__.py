"""Tables of the toy service."""
