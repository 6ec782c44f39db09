"""A small service for the kit's own tests: boxes that are packed by a saga."""
