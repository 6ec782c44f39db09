"""What runs on hosts."""
