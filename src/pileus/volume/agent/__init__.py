"""What runs on volume nodes."""
