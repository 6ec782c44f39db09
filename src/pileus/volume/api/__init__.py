"""The Block Storage API, one module per resource."""
