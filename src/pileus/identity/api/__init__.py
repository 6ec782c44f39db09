"""The routes of identity, one module per resource."""
