"""Tables, rows and queries."""
