"""The plain Linux engine: bridges, VXLAN, network namespaces and nftables."""
