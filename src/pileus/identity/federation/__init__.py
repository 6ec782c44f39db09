"""People whom somebody else vouches for."""
