"""What clients are told of routers that are not where they are asked for."""

from pileus.kit.faults import Conflict


class RouterHosted(Conflict):
    code = "RouterHostedByL3Agent"
    message = "The router {router_id} has been already hosted by the L3 Agent {agent_id}."


class RouterNotHosted(Conflict):
    code = "RouterNotHostedByL3Agent"
    message = "The router {router_id} is not hosted by L3 agent {agent_id}."


class AgentOff(Conflict):
    code = "InvalidL3Agent"
    message = "Agent {agent_id} is not an L3 Agent or has been disabled"


class RouterElsewhere(Conflict):
    code = "FloatingIPRouterNotOnExternalNetwork"
    message = "Router {router_id} has no gateway on the external network {network_id}."
