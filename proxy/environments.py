"""What the objects of a cluster say about an environment. Pure.

An environment is a namespace with the agent's own owner id and an environment id; what is deployed in it is recorded in
config maps there, one a project.
"""

from collections.abc import Iterable, Mapping

from agentd.platform import Kind, Manifest, keys
from proxy.generated.v1 import environments_pb2 as pb
from proxy.messages import timestamp_of_text

NAMESPACE = Kind("v1", "Namespace")
CONFIG_MAP = Kind("v1", "ConfigMap")

_HIBERNATED = "hibernated"
_OWN_LABELS = frozenset({keys.MANAGED_BY, keys.PART_OF, keys.NAME, keys.INSTANCE, keys.COMPONENT, keys.NAMESPACE_NAME})


def environment_of(namespace: Manifest) -> pb.Environment | None:
    """The environment, without its projects; None for a namespace that is none."""
    metadata = namespace["metadata"]
    marks = _marks(namespace)
    if keys.ENVIRONMENT_ID not in marks:
        return None
    deleting = "deletionTimestamp" in metadata
    return pb.Environment(
        id=marks[keys.ENVIRONMENT_ID],
        name=metadata["name"],
        state=_state(marks, deleting=deleting),
        generation=_number(marks.get(keys.GENERATION)),
        labels={key: value for key, value in (metadata.get("labels") or {}).items() if not _is_own(key)},
        airflow_version=marks.get(keys.AIRFLOW_VERSION, ""),
        deletion_protected=marks.get(keys.DELETION_PROTECTION) == "true",
        create_time=timestamp_of_text(metadata.get("creationTimestamp")),
        message=_what_is_left(namespace) if deleting else "",
    )


def project_of(config_map: Manifest) -> pb.DeployedProject | None:
    """The project whose deployment the config map records; None for one that records none."""
    marks = _marks(config_map)
    if keys.PROJECT_ID not in marks or keys.BUILD_ID not in marks:
        return None
    return pb.DeployedProject(
        id=marks[keys.PROJECT_ID],
        name=marks.get(keys.PROJECT_NAME, ""),
        build_id=marks[keys.BUILD_ID],
        digest=marks.get(keys.IMAGE_DIGEST, ""),
    )


def with_projects(environment: pb.Environment, projects: Iterable[pb.DeployedProject]) -> pb.Environment:
    """A copy with what is deployed in it, by name."""
    whole = pb.Environment()
    whole.CopyFrom(environment)
    whole.projects.extend(sorted(projects, key=lambda project: (project.name, project.id)))
    return whole


def _marks(manifest: Manifest) -> Mapping[str, str]:
    """The agent's own keys, whether they are labels or annotations."""
    metadata = manifest["metadata"]
    return {**(metadata.get("annotations") or {}), **(metadata.get("labels") or {})}


def _state(marks: Mapping[str, str], *, deleting: bool) -> pb.EnvironmentState:
    if deleting:
        return pb.ENVIRONMENT_STATE_DELETING
    if marks.get(keys.POWER) == _HIBERNATED:
        return pb.ENVIRONMENT_STATE_HIBERNATED
    return pb.ENVIRONMENT_STATE_ACTIVE


def _what_is_left(namespace: Manifest) -> str:
    """What a namespace that is being deleted waits for, as its conditions tell."""
    conditions = (namespace.get("status") or {}).get("conditions") or []
    return "; ".join(one["message"] for one in conditions if one.get("status") == "True" and one.get("message"))


def _is_own(key: str) -> bool:
    return key in _OWN_LABELS or key.startswith(f"{keys.PREFIX}/")


def _number(text: str | None) -> int:
    """A label's number; 0 when there is none, as somebody has edited it away."""
    return int(text) if text and text.isascii() and text.isdigit() else 0
