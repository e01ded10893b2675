"""What every object carries, and how it is named. The cluster adapter adds owner, generation, event and subject."""

from hashlib import sha256

from agentd.platform import keys

# The longest that a label's value, the name of a volume or of a container may be. Source: RFC 1123 labels.
_LABEL_MAX = 63

MANAGER = "conveyor-agent"
PART_OF = "conveyor"

ENVIRONMENT = "environment"
"""The component of what follows from an environment's spec."""
PROJECT = "project"
"""The component of what follows from a project that is deployed in an environment."""
CONFIGURATION = "configuration"
"""The component of what a project is given wherever it is deployed."""
AIRFLOW = "airflow"
"""The name of what belongs to Airflow; its pods carry it too. Also the component of the objects that Airflow is made of;
its pods' component is what they do."""
STREAMING = "streaming"
"""The component of projects' streaming applications, and of their pods."""


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


def label_name(project_name: str) -> str:
    """A project's name where dots are not allowed either. Projects' names have no two dashes in a row."""
    return project_name.replace("_", "--")


def fitted(name: str) -> str:
    """A name that is short enough for a label; of a longer one the beginning, and a digest of all of it."""
    if len(name) <= _LABEL_MAX:
        return name
    return f"{name[: _LABEL_MAX - 13].rstrip('-.')}-{sha256(name.encode()).hexdigest()[:12]}"
