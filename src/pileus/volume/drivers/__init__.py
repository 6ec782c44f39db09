"""What makes volumes real."""
