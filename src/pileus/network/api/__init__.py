"""The routes of the Networking API, one module per resource."""
