"""Routers' gateways obey QoS policies.

Expand only: code of the previous release neither reads nor writes the column.
"""

from importlib import import_module

refer = import_module("pileus.network.migrations.0002_address_groups_and_forwarding").refer


def upgrade(op):
    refer(op, "router", "qos_policy_id", "qos_policy")
