"""Truths that must keep holding."""
