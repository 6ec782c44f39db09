"""One running copy of the load balancer service: its configuration, and its way to the network service."""

from __future__ import annotations

from typing import Any

from pileus.kit.service import Runtime
from pileus.load_balancer.config import LoadBalancerConfig
from pileus.network.client import NetworkClient


class LoadBalancers(Runtime):
    def __init__(self, *args: Any, config: LoadBalancerConfig, network: NetworkClient, **more: Any):
        super().__init__(*args, **more)
        self.config, self.network = config, network
