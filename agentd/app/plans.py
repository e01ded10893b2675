"""What makes plans here: the platform's ports, and how an event is planned without a daemon."""

from agentd.app.platform import Platform
from agentd.core import Plan, PlanFence, Runtime, Subject
from agentd.dispatch import DispatchConfig, Planner, Ports, Prepare, Tools
from agentd.platform.planning import planning_ports


def preparing(platform: Platform, owner_id: str) -> Prepare:
    """Tools for plans over a platform."""

    def prepare(plan: Plan, subject: Subject, generation: int, event_id: str) -> Tools:
        return Tools(Ports(planning_ports(platform.ports, plan)), PlanFence(subject, generation, event_id, owner_id))

    return prepare


def planner_of(platform: Platform, owner_id: str, config: DispatchConfig, runtime: Runtime) -> Planner:
    """A planner of its own, beside a dispatcher or without one."""
    return Planner(
        preparing(platform, owner_id),
        runtime,
        step_retry_s=config.step_retry_s,
        step_retry_cap_s=config.step_retry_cap_s,
    )
