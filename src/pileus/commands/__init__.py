"""The `pileus` command, one module per group of subcommands."""
