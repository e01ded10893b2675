"""What every object carries, and how it is named. The cluster adapter adds owner, generation, event and subject."""

from agentd.platform import keys

MANAGER = "conveyor-agent"
PART_OF = "conveyor"

ENVIRONMENT = "environment"
"""The component of what follows from an environment's spec."""
PROJECT = "project"
"""The component of what follows from a project that is deployed in an environment."""
CONFIGURATION = "configuration"
"""The component of what a project is given wherever it is deployed."""
AIRFLOW = "airflow"
"""The name of what belongs to Airflow; its pods carry it too."""


def common_labels(*, name: str, instance: str, component: str, tenant_id: str | None) -> dict[str, str]:
    """The labels that Kubernetes recommends, and whose the object is."""
    tenant = {} if tenant_id is None else {keys.TENANT_ID: tenant_id}
    return {
        keys.MANAGED_BY: MANAGER,
        keys.PART_OF: PART_OF,
        keys.NAME: name,
        keys.INSTANCE: instance,
        keys.COMPONENT: component,
        **tenant,
    }


def kubernetes_name(project_name: str) -> str:
    """A project's name as Kubernetes takes it: no underscores."""
    return project_name.replace("_", ".")
