"""Load balancing: HAProxy in network namespaces, behind the API of Octavia."""
