"""Compute: servers, flavors, key pairs, hosts."""
