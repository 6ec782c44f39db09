"""The Load Balancer API, one module per resource."""
