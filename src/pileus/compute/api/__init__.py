"""REST resources of compute, one module each."""
