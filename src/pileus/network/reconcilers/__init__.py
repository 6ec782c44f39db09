"""Truths of the network that must keep holding."""
