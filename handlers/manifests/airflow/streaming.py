"""Projects' streaming applications: they run as long as they are deployed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agentd.platform import Manifest, keys
from agentd.platform.airflow_defaults import Resources
from handlers.manifests.airflow.bundles import in_order
from handlers.manifests.airflow.instance import AirflowInstance
from handlers.manifests.airflow.pods import RESTRICTED, SECCOMP, Part, placement, requests
from handlers.manifests.kinds import DEPLOYMENT
from handlers.manifests.labels import STREAMING, fitted, kubernetes_name, label_name
from handlers.manifests.projects import DeployedProject

_GRACE_S = 60
# What a small one takes that says nothing of it.
_RESOURCES = Resources("500m", "1Gi", "1Gi")


@dataclass(frozen=True, slots=True)
class StreamingApplication:
    """One application of a project, in its build's image. `name` is letters and digits, with single dashes in between."""

    name: str
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    replicas: int = 1
    resources: Resources = _RESOURCES


def streaming(
    instance: AirflowInstance,
    projects: Sequence[DeployedProject],
    applications: Mapping[str, Sequence[StreamingApplication]],
) -> list[Manifest]:
    """The applications of all projects; `applications` has them by the project's name."""
    return [
        _deployment(instance, project, application)
        for project in in_order(projects)
        for application in sorted(applications.get(project.project_name, ()), key=lambda found: found.name)
    ]


def _deployment(instance: AirflowInstance, project: DeployedProject, application: StreamingApplication) -> Manifest:
    # No name has two dashes in a row but the projects' with theirs for an underscore: the last ones part the two.
    name = fitted(f"streaming-{label_name(project.project_name)}--{application.name}")
    labels = {keys.NAME: name, keys.COMPONENT: STREAMING}
    spec = {
        "replicas": instance.replicas(application.replicas),
        "revisionHistoryLimit": 2,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": _pod(instance, project, application)},
    }
    about = {keys.PROJECT_NAME: project.project_name}
    found = instance.environment.object(
        DEPLOYMENT, name, part_of=name, component=STREAMING, annotations=about, spec=spec
    )
    found["metadata"]["labels"] |= {keys.PROJECT_ID: project.project_id, keys.BUILD_ID: project.build_id}
    return found


def _pod(instance: AirflowInstance, project: DeployedProject, application: StreamingApplication) -> Part:
    """It is its project: what it may do in the cloud is what the project's tasks may do."""
    env = {"ENVIRONMENT": instance.environment.name, **application.env}
    main: Part = {
        "name": "application",
        "image": project.image,
        **({"args": list(application.args)} if application.args else {}),
        "env": [{"name": name, "value": env[name]} for name in sorted(env)],
        "resources": requests(application.resources),
        "securityContext": RESTRICTED,
    }
    return {
        "serviceAccountName": kubernetes_name(project.project_name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": SECCOMP,
        "terminationGracePeriodSeconds": _GRACE_S,
        **placement(instance, instance.nodes),
        "containers": [main],
    }
