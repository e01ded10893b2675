"""What is desired of an environment, read from all that has been claimed of it rather than from one event."""

import json
from collections.abc import Sequence
from ipaddress import ip_network

from pydantic import TypeAdapter

from agentd.core import Context, NotReady, PermanentError, Reason
from agentd.events import POWER, PROJECTS, SPEC, DeploymentAction, EnvironmentSpec, Power, ProjectDeployment
from agentd.platform import ClusterDefaults
from handlers.environments.problems import Problems
from handlers.manifests import Environment
from handlers.manifests.airflow import check_major

_PROJECTS = TypeAdapter(tuple[ProjectDeployment, ...])


def environment(ctx: Context, name: str) -> Environment:
    """The environment as it is wanted. Raises PermanentError with everything in its spec that cannot be."""
    desired = spec(ctx)
    if desired is None:
        raise NotReady(f"nothing is known yet of how environment {name} should be")
    problems = Problems()
    _check_airflow(name, desired, problems)
    _check_egress(desired, problems)
    problems.raise_any()
    power = Power(ctx.desired(POWER) or Power.AWAKE.value)
    return Environment(name=name, spec=desired, power=power, defaults=ctx.port(ClusterDefaults))


def spec(ctx: Context) -> EnvironmentSpec | None:
    """The newest spec that has been claimed; None when there is none."""
    found = ctx.desired(SPEC)
    # Through JSON: the classes of events are strict about everything else.
    return None if found is None else EnvironmentSpec.model_validate_json(json.dumps(found))


def projects(ctx: Context) -> Sequence[ProjectDeployment]:
    """Every project that the newest deploy names, those that should go included."""
    return _PROJECTS.validate_json(json.dumps(ctx.desired(PROJECTS) or []))


def wanted(found: Sequence[ProjectDeployment]) -> list[ProjectDeployment]:
    """Those that should be deployed."""
    return [project for project in found if project.action is not DeploymentAction.DELETE]


def _check_airflow(name: str, desired: EnvironmentSpec, problems: Problems) -> None:
    try:
        check_major(desired.airflow_version)
    except PermanentError as error:
        problems.add(error.reason, f"environment {name}: {error.message}")


def _check_egress(desired: EnvironmentSpec, problems: Problems) -> None:
    """The API server would refuse the policy, when half of the environment has been written."""
    for number, rule in enumerate(desired.network_egress.allow):
        try:
            ip_network(rule.cidr)
        except ValueError as error:
            problems.add(Reason.INVALID_REQUEST, f"spec.network_egress.allow.{number}.cidr: {error}")
