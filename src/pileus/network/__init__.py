"""The network service: networks, ports, routers, and the engines that make them real."""
