"""Pileus: a complete, OpenStack-compatible cloud in one program."""
