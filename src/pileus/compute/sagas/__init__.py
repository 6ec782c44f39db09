"""What compute does durably, one saga a module."""
