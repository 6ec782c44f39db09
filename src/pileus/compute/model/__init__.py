"""Tables of compute with their rows and queries."""
