"""Who Airflow is in the cluster and in the cloud, and what it may do in its namespace."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from agentd.platform import Manifest
from handlers.manifests.environment import Environment
from handlers.manifests.kinds import ROLE, ROLE_BINDING, SERVICE_ACCOUNT
from handlers.manifests.labels import AIRFLOW

SCHEDULER = "airflow-scheduler"
API_SERVER = "airflow-api-server"
WORKER = "airflow-worker"
PROCESSES = (AIRFLOW, SCHEDULER, API_SERVER)
"""Airflow's own processes: they carry the environment's identity."""
SERVICE_ACCOUNTS = (*PROCESSES, WORKER)

Rule = dict[str, Any]  # a rule of a Role, in the API's own shape

# Source: what Airflow 3.3 asks of the API server. The scheduler starts workers and follows them; the API server shows what
# those print that are still running. Nobody else asks for anything: workers run users' code, and get no token.
RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        SCHEDULER: (
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "delete", "get", "list", "patch", "watch"]},
        ),
        API_SERVER: (
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
            {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        ),
    }
)


def service_accounts(environment: Environment) -> list[Manifest]:
    """Airflow's own processes, and its workers until it is known whose task they run: these are nobody."""
    return [
        environment.object(
            SERVICE_ACCOUNT,
            name,
            part_of=AIRFLOW,
            annotations=environment.identity if name in PROCESSES else {},
            automountServiceAccountToken=False,
        )
        for name in SERVICE_ACCOUNTS
    ]


def roles(environment: Environment) -> list[Manifest]:
    """Pods of this namespace, and nothing outside; each with whom it is given to behind it."""
    return [manifest for name in RULES for manifest in (_role(environment, name), _binding(environment, name))]


def _role(environment: Environment, name: str) -> Manifest:
    return environment.object(ROLE, name, part_of=AIRFLOW, rules=[dict(rule) for rule in RULES[name]])


def _binding(environment: Environment, name: str) -> Manifest:
    group, _, _ = ROLE.api_version.partition("/")
    return environment.object(
        ROLE_BINDING,
        name,
        part_of=AIRFLOW,
        roleRef={"apiGroup": group, "kind": ROLE.name, "name": name},
        subjects=[{"kind": SERVICE_ACCOUNT.name, "name": name, "namespace": environment.name}],
    )
