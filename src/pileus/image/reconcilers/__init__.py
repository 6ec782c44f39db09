"""Truths of the image service that must keep holding."""
