"""The namespace: what it is, and the security that the API server holds every pod in it to."""

from typing import Any

from agentd.platform import Manifest, keys
from handlers.manifests.environment import Environment
from handlers.manifests.kinds import NAMESPACE

# Nothing here needs a privileged pod. `latest` follows the API server; a pin would age behind its back.
_POD_SECURITY = {
    f"pod-security.kubernetes.io/{mode}{suffix}": value
    for mode in ("enforce", "audit", "warn")
    for suffix, value in (("", "restricted"), ("-version", "latest"))
}


def namespace(environment: Environment) -> Manifest:
    """The environment's namespace."""
    spec = environment.spec
    annotations: dict[str, Any] = {
        keys.AIRFLOW_VERSION: spec.airflow_version,
        keys.DELETION_PROTECTION: "true" if spec.deletion_protection else "false",
    }
    if spec.description:
        annotations[keys.DESCRIPTION] = spec.description
    return {
        "apiVersion": NAMESPACE.api_version,
        "kind": NAMESPACE.name,
        "metadata": {
            "name": environment.name,
            "labels": {**environment.labels(), keys.POWER: environment.power.value, **_POD_SECURITY},
            "annotations": annotations,
        },
    }
