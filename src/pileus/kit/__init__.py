"""The platform: knows no cloud noun and imports no service."""
