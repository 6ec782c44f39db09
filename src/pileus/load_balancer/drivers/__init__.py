"""What makes load balancers real."""
