"""Routes of the Image API, one module per resource."""
