"""The network service's part on every host."""
