"""What can be started: the same services, dealt out over processes in different ways."""
