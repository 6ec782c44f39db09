"""Truths of compute that must keep holding."""
