"""Which kind has which rules."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from agentd.embedded.kube.custom.definitions import DEFINITION_RULES
from agentd.embedded.kube.custom.rules import check_custom
from agentd.embedded.kube.defaulting.policies import RBAC
from agentd.embedded.kube.kinds import (
    DAEMON_SETS,
    DEFINITIONS,
    DEPLOYMENTS,
    EVENTS,
    JOBS,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    STATEFUL_SETS,
    Kind,
)
from agentd.embedded.kube.rules.access import BINDING_RULES, ROLE_RULES
from agentd.embedded.kube.rules.contents import CLAIM_RULES, CONFIG_MAP_RULES, SECRET_RULES
from agentd.embedded.kube.rules.jobs import CRON_JOB_RULES, JOB_RULES
from agentd.embedded.kube.rules.namespaces import NAMESPACE_RULES
from agentd.embedded.kube.rules.others import (
    AUTOSCALER_RULES,
    BUDGET_RULES,
    EVENT_RULES,
    INGRESS_RULES,
    LEASE_RULES,
    NETWORK_POLICY_RULES,
    QUOTA_RULES,
)
from agentd.embedded.kube.rules.pods import POD_RULES
from agentd.embedded.kube.rules.rules import Rules
from agentd.embedded.kube.rules.services import SERVICE_RULES
from agentd.embedded.kube.rules.workloads import (
    DAEMON_SET_RULES,
    DEPLOYMENT_RULES,
    REPLICA_SET_RULES,
    STATEFUL_SET_RULES,
)

_PLAIN = Rules()
_RULES: Mapping[tuple[str, str], Rules] = MappingProxyType(
    {
        NAMESPACES: NAMESPACE_RULES,
        DEFINITIONS: DEFINITION_RULES,
        PODS: POD_RULES,
        EVENTS: EVENT_RULES,
        DEPLOYMENTS: DEPLOYMENT_RULES,
        REPLICA_SETS: REPLICA_SET_RULES,
        STATEFUL_SETS: STATEFUL_SET_RULES,
        DAEMON_SETS: DAEMON_SET_RULES,
        JOBS: JOB_RULES,
        ("batch", "cronjobs"): CRON_JOB_RULES,
        ("", "services"): SERVICE_RULES,
        ("", "configmaps"): CONFIG_MAP_RULES,
        ("", "secrets"): SECRET_RULES,
        ("", "persistentvolumeclaims"): CLAIM_RULES,
        ("", "resourcequotas"): QUOTA_RULES,
        (RBAC, "roles"): ROLE_RULES,
        (RBAC, "clusterroles"): ROLE_RULES,
        (RBAC, "rolebindings"): BINDING_RULES,
        (RBAC, "clusterrolebindings"): BINDING_RULES,
        ("coordination.k8s.io", "leases"): LEASE_RULES,
        ("networking.k8s.io", "ingresses"): INGRESS_RULES,
        ("networking.k8s.io", "networkpolicies"): NETWORK_POLICY_RULES,
        ("policy", "poddisruptionbudgets"): BUDGET_RULES,
        ("autoscaling", "horizontalpodautoscalers"): AUTOSCALER_RULES,
    }
)


def rules_of(kind: Kind) -> Rules:
    """The rules of this kind; a kind without any of its own has none."""
    if kind.custom:
        return Rules(validate=partial(check_custom, kind.type))
    return _RULES.get(kind.resource, _PLAIN)
