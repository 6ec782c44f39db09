"""Identity: who somebody is, what they may do where, and where the services are (Keystone's API v3)."""
