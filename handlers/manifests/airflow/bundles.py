"""Projects' builds in Airflow's pods: each is a DAG bundle, its image mounted as it is, or copied where that cannot be done."""

import json
from collections.abc import Sequence

from handlers.manifests.airflow.instance import AirflowInstance
from handlers.manifests.airflow.pods import HOME, READ_ONLY, Part
from handlers.manifests.labels import fitted, label_name
from handlers.manifests.projects import DeployedProject

_FOLDER = f"{HOME}/bundles"

# Source: Airflow's documentation of DAG bundles.
_CLASS = "airflow.dag_processing.bundles.local.LocalDagBundle"

# What an image without an own memory of it needs: `cp` of a few files.
_COPY = (
    "cp -R /dags /bundle/ && for more in pkgs streaming.yaml; do if [ -e /$more ]; then cp -R /$more /bundle/; fi; done"
)
_COPY_RESOURCES: Part = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}


def in_order(projects: Sequence[DeployedProject]) -> list[DeployedProject]:
    """By name: what is made of them does not depend on how an event lists them."""
    return sorted(projects, key=lambda project: project.project_name)


def bundle_list(projects: Sequence[DeployedProject]) -> str:
    """Airflow's list of bundles; a bundle has its project's name."""
    bundles = [
        {
            "name": project.project_name,
            "classpath": _CLASS,
            "kwargs": {"path": f"{_path(project)}/dags"},
        }
        for project in in_order(projects)
    ]
    return json.dumps(bundles, separators=(",", ":"))


def mounts(projects: Sequence[DeployedProject]) -> list[Part]:
    """Where the bundles are in a container of Airflow's."""
    return [{"name": _volume(project), "mountPath": _path(project), "readOnly": True} for project in in_order(projects)]


def volumes(instance: AirflowInstance, projects: Sequence[DeployedProject]) -> list[Part]:
    """The bundles: images by digest, which never change under a pod, or folders that `copies` fill."""
    if not instance.image_volumes:
        return [{"name": _volume(project), "emptyDir": {}} for project in in_order(projects)]
    return [
        {"name": _volume(project), "image": {"reference": project.image, "pullPolicy": "IfNotPresent"}}
        for project in in_order(projects)
    ]


def copies(instance: AirflowInstance, projects: Sequence[DeployedProject]) -> list[Part]:
    """What fills the folders where images cannot be mounted: each image copies itself, and needs a shell for it."""
    if instance.image_volumes:
        return []
    return [
        {
            "name": _volume(project),
            "image": project.image,
            "command": ["/bin/sh", "-c", _COPY],
            "resources": _COPY_RESOURCES,
            "securityContext": READ_ONLY,
            "volumeMounts": [{"name": _volume(project), "mountPath": "/bundle"}],
        }
        for project in in_order(projects)
    ]


def _path(project: DeployedProject) -> str:
    return f"{_FOLDER}/{project.project_name}"


def _volume(project: DeployedProject) -> str:
    return fitted(f"bundle-{label_name(project.project_name)}")
