"""What the network service does durably, one saga a module."""
