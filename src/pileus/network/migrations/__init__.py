"""Tables of the network service."""
