"""Policies and requests, made by hand."""

from typing import Any

from agentd.dispatch.policy import Policy, Request, read_policy
from agentd.events import EnvironmentDeploy, EnvironmentUpdate, decode
from tests.unit.dispatch.events import create, delete, event, package, uuid

Json = dict[str, Any]  # the data of an event


def policy(rules: str, *, default: str = "refuse", zone: str = "Europe/Brussels") -> Policy:
    """A policy with these rules, in YAML without indentation."""
    indented = "".join(f"  {line}\n" for line in rules.strip().splitlines())
    return read_policy(f"version: 1\ndefault: {default}\ntime_zone: {zone}\nrules:\n{indented}".encode())


def request(text: str, *, key_id: str | None = None) -> Request:
    """What a policy looks at of an event."""
    return Request.of(decode(text), key_id)


def deploy(*projects: str, environment: str = "prod1", **attributes: Any) -> str:
    """environment.deploy of some projects."""
    deployments = [
        {"project_id": uuid(100 + number), "project_name": name, "build_id": uuid(200 + number)}
        for number, name in enumerate(projects)
    ]
    data: Json = {"environment_id": uuid(50), "environment_name": environment, "spec": {}, "projects": deployments}
    return event(EnvironmentDeploy, 5, data, **attributes)


def update(environment: str, **attributes: Any) -> str:
    """environment.update."""
    data: Json = {"environment_id": uuid(50), "environment_name": environment, "spec": {}}
    return event(EnvironmentUpdate, 6, data, **attributes)


__all__ = ["create", "delete", "deploy", "package", "policy", "request", "update"]
