"""Routes of the Placement API, one module per resource."""
