"""Image: what servers boot from, kept byte for byte."""
