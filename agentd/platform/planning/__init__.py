"""Ports that plan: a handler does its work on them unchanged, and nothing is written."""

from collections.abc import Mapping

from agentd.core import Plan
from agentd.platform.cluster import Cluster
from agentd.platform.databases import Databases
from agentd.platform.identities import Identities
from agentd.platform.planning.databases import PlanningDatabases
from agentd.platform.planning.identities import PlanningIdentities
from agentd.platform.planning.registry import PlanningRegistry
from agentd.platform.registry import ImageRegistry


def planning_ports(ports: Mapping[type, object], plan: Plan) -> dict[type, object]:
    """The same ports for one event that is planned: what they would write is recorded in the plan, and read back as written.

    What is no port that writes is passed on as it is.
    """
    return {kind: _planning(port, plan) for kind, port in ports.items()}


def _planning(port: object, plan: Plan) -> object:
    if isinstance(port, Cluster):
        return port.planning(plan)
    if isinstance(port, ImageRegistry):
        return PlanningRegistry(port, plan)
    if isinstance(port, Identities):
        return PlanningIdentities(port, plan)
    if isinstance(port, Databases):
        return PlanningDatabases(port, plan)
    return port


__all__ = ["PlanningDatabases", "PlanningIdentities", "PlanningRegistry", "planning_ports"]
