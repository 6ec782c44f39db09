"""Schema of the load balancer service, forward only."""
