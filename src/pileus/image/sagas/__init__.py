"""Durable work of the image service."""
