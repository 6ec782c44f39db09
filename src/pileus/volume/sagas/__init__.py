"""Durable work on volumes."""
