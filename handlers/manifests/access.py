"""Who Airflow is in the cluster and in the cloud, and what it may do in its namespace."""

from typing import Any

from agentd.platform import Manifest
from handlers.manifests.environment import Environment
from handlers.manifests.kinds import ROLE, ROLE_BINDING, SERVICE_ACCOUNT
from handlers.manifests.labels import AIRFLOW

WORKER = "airflow-worker"
SERVICE_ACCOUNTS = (AIRFLOW, WORKER)

# Source: the roles of Airflow's own Helm chart: its executor and operators start pods, follow them and read their logs.
# It reads ConfigMaps to know which image each project has.
RULES: tuple[dict[str, Any], ...] = (
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "delete", "get", "list", "patch", "watch"]},
    {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create", "get"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]},
)


def service_accounts(environment: Environment) -> list[Manifest]:
    """Airflow's own processes, and its workers: these run users' code, and get a token only where a pod asks for it."""
    return [
        environment.object(
            SERVICE_ACCOUNT,
            name,
            part_of=AIRFLOW,
            annotations=environment.identity,
            automountServiceAccountToken=name == AIRFLOW,
        )
        for name in SERVICE_ACCOUNTS
    ]


def role(environment: Environment) -> Manifest:
    """Pods of this namespace, and nothing outside."""
    return environment.object(ROLE, AIRFLOW, part_of=AIRFLOW, rules=[dict(rule) for rule in RULES])


def role_binding(environment: Environment) -> Manifest:
    """Gives the role to both service accounts: operators start pods from workers."""
    group, _, _ = ROLE.api_version.partition("/")
    return environment.object(
        ROLE_BINDING,
        AIRFLOW,
        part_of=AIRFLOW,
        roleRef={"apiGroup": group, "kind": ROLE.name, "name": AIRFLOW},
        subjects=[
            {"kind": SERVICE_ACCOUNT.name, "name": name, "namespace": environment.name} for name in SERVICE_ACCOUNTS
        ],
    )
