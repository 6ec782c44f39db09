"""Which host a server goes to, and why not the others: pure functions over columns of hosts."""
