"""A picture of what an environment is made of, drawn from the manifests that the handlers apply.

Mermaid's flowchart: text that code hosts draw. Arrows lead from what uses something to what it uses.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from agentd.events import EnvironmentSpec, Power
from agentd.platform import AirflowDefaults, ClusterDefaults, Manifest
from handlers import manifests
from handlers.manifests import Environment
from handlers.manifests.airflow import AirflowInstance, AirflowKeys, StreamingApplication, stages
from handlers.manifests.projects import DeployedProject, deployed

_BEGIN, _END = "<!-- picture: written by `make generate` -->", "<!-- end of the picture -->"
_ZEROS = "0" * 64

# What keeps an environment within its bounds is one box: nothing inside refers to it.
_BOUNDS = ("LimitRange", "NetworkPolicy", "ResourceQuota")
_GROUPS: Mapping[str, Sequence[str]] = {
    "Workloads": ("Deployment", "Job", "StatefulSet"),
    "Ways in": ("PodDisruptionBudget", "Service"),
    "What they read and keep": ("ConfigMap", "PersistentVolumeClaim", "Secret"),
    "Who they are": ("Role", "RoleBinding", "ServiceAccount"),
    "Locks": ("Lease",),
}


def with_picture(text: str) -> str:
    """The page with the picture as it is now. ValueError when it has no place for one."""
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"there is no place for a picture: {_BEGIN} ... {_END}")
    return f"{before}{begin}\n```mermaid\n{picture(example())}\n```\n{end}{after}"


def example() -> list[Manifest]:
    """The objects of an environment with one project, which has one streaming application."""
    environment = Environment(
        "dev", EnvironmentSpec(), Power.AWAKE, ClusterDefaults(system_namespace="conveyor-system", tenant_id="tenant")
    )
    defaults = AirflowDefaults()
    airflow = AirflowInstance(environment, defaults.releases[0], defaults, AirflowKeys("", "", "", ""), True)
    project = DeployedProject(
        project_id="",
        project_name="shop",
        build_id="",
        digest=f"sha256:{_ZEROS}",
        image=f"registry/shop@sha256:{_ZEROS}",
        identity=None,
        annotations={},
        settings={},
    )
    applications = {project.project_name: (StreamingApplication("ingest", (), {}),)}
    found = stages(airflow, (project,), applications).all()
    return [*manifests.inside(environment), *deployed(project, environment), *found]


def picture(found: Sequence[Manifest]) -> str:
    """The objects by what they are for, and which uses which."""
    lines = ["flowchart LR", '  subgraph dev["Namespace dev"]']
    for title, kinds in _GROUPS.items():
        lines += [f'    subgraph {_id(title)}["{title}"]']
        lines += [f'      {_of(item)}["{item["kind"]}<br/>{_name(item)}"]' for item in found if item["kind"] in kinds]
        lines += ["    end"]
    bounds = sorted({f"{item['kind']} {_name(item)}" for item in found if item["kind"] in _BOUNDS})
    lines += [f'    bounds["{"<br/>".join(bounds)}"]', "  end"]
    lines += [f"  {_of(user)} --> {_of(used)}" for user in found for used in _used(user, found)]
    return "\n".join(lines)


def _used(user: Manifest, found: Sequence[Manifest]) -> Iterator[Manifest]:
    names = set(_references(user))
    for item in found:
        selected = _selects(user, item)
        if selected or (item["kind"], _name(item)) in names:
            yield item


def _selects(user: Manifest, item: Manifest) -> bool:
    """Whether the user finds the other one's pods by their labels."""
    if user["kind"] not in _GROUPS["Ways in"] or item["kind"] not in _GROUPS["Workloads"]:
        return False
    selector = user["spec"]["selector"]
    wanted: Mapping[str, str] = selector.get("matchLabels", selector)
    labels: Mapping[str, str] = item["spec"]["template"]["metadata"].get("labels", {})
    return wanted.items() <= labels.items()


def _references(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Kind and name of everything that an object names."""
    if isinstance(value, Mapping):
        match key, value:
            case ("secretKeyRef" | "secretRef", {"name": str(name)}) | ("secret", {"secretName": str(name)}):
                yield "Secret", name
            case "configMapKeyRef" | "configMapRef" | "configMap", {"name": str(name)}:
                yield "ConfigMap", name
            case "persistentVolumeClaim", {"claimName": str(name)}:
                yield "PersistentVolumeClaim", name
            case _, {"kind": "Role" | "ServiceAccount" as kind, "name": str(name)}:
                yield str(kind), name
        if isinstance(account := value.get("serviceAccountName"), str):
            yield "ServiceAccount", account
        for name, inner in value.items():
            yield from _references(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner, key)


def _name(item: Manifest) -> str:
    name: str = item["metadata"]["name"]
    # What is made of contents changes with them.
    return re.sub(r"-[0-9a-f]{8,}$", "-...", name)


def _of(item: Manifest) -> str:
    return _id(f"{item['kind']} {item['metadata']['name']}")


def _id(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9]", "_", text)
