"""Block storage: volumes, snapshots and backups."""
