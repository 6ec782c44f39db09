"""Placement: what hosts have, what is taken of it, and who may take what."""
