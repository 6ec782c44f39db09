"""Tables, rows and queries of the network service."""
