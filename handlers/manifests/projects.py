"""Projects: what one is given wherever it is deployed, and what it is in an environment."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from agentd.platform import ClusterDefaults, Manifest, ObjectRef, keys
from handlers.manifests import labels
from handlers.manifests.environment import Environment
from handlers.manifests.kinds import CONFIG_MAP, SERVICE_ACCOUNT
from handlers.manifests.settings import canonical

_IDENTITY = "default-identity"
_SETTINGS = "settings.json"


@dataclass(frozen=True, slots=True)
class ProjectConfiguration:
    """What a project is given wherever it is deployed. `identity` is a template over the environment's name."""

    project_id: str
    project_name: str
    identity: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """Read it back from its object."""
        data = manifest.get("data") or {}
        return cls(data["id"], data["name"], data.get(_IDENTITY), json.loads(data[_SETTINGS]))


@dataclass(frozen=True, slots=True)
class DeployedProject:
    """A project as it is wanted in an environment. `image` is a reference by digest.

    `identity` is its jobs' identity, rendered; `annotations` are what its service account carries to become that.
    """

    project_id: str
    project_name: str
    build_id: str
    digest: str
    image: str
    identity: str | None
    annotations: Mapping[str, str]
    settings: Mapping[str, str]

    @classmethod
    def of(cls, record: Manifest) -> Self:
        """Read it back from its record, which does not have what the service account carries."""
        data, metadata = record["data"], record["metadata"]
        return cls(
            project_id=data["id"],
            project_name=data["name"],
            build_id=data["build-id"],
            digest=metadata["annotations"][keys.IMAGE_DIGEST],
            image=data["image"],
            identity=data.get("identity"),
            annotations={},
            settings=json.loads(data[_SETTINGS]),
        )


def configuration(project: ProjectConfiguration, defaults: ClusterDefaults) -> Manifest:
    """The project's configuration, in the agent's own namespace."""
    data = {"id": project.project_id, "name": project.project_name, _SETTINGS: canonical(dict(project.settings))}
    if project.identity is not None:
        data[_IDENTITY] = project.identity
    ref = configuration_ref(project.project_name, defaults)
    return {
        "apiVersion": ref.kind.api_version,
        "kind": ref.kind.name,
        "metadata": {
            "name": ref.name,
            "namespace": ref.namespace,
            "labels": labels.common_labels(
                name=labels.PROJECT,
                instance=project.project_name,
                component=labels.CONFIGURATION,
                tenant_id=defaults.tenant_id,
            ),
            "annotations": {keys.PROJECT_NAME: project.project_name},
        },
        "data": data,
    }


def configuration_ref(project_name: str, defaults: ClusterDefaults) -> ObjectRef:
    """Where a project's configuration is."""
    return ObjectRef(CONFIG_MAP, _config_map(project_name), defaults.system_namespace)


def deployed(project: DeployedProject, environment: Environment) -> list[Manifest]:
    """A project in an environment: what is deployed, and who its jobs are."""
    return [record(project, environment), service_account(project, environment)]


def deployed_name(manifest: Manifest) -> str:
    """Which project the record of a deployment, or the account of its jobs, is about."""
    name: str = manifest["metadata"]["annotations"][keys.PROJECT_NAME]
    return name


def record(project: DeployedProject, environment: Environment) -> Manifest:
    """What is deployed: it is written when the build is live, and says which one is."""
    data = {
        "id": project.project_id,
        "name": project.project_name,
        "environment": environment.name,
        "build-id": project.build_id,
        "image": project.image,
        _SETTINGS: canonical(dict(project.settings)),
    }
    if project.identity is not None:
        data["identity"] = project.identity
    metadata = _metadata(_config_map(project.project_name), project, environment)
    metadata["labels"][keys.BUILD_ID] = project.build_id
    metadata["annotations"][keys.IMAGE_DIGEST] = project.digest
    return {"apiVersion": CONFIG_MAP.api_version, "kind": CONFIG_MAP.name, "metadata": metadata, "data": data}


def service_account(project: DeployedProject, environment: Environment) -> Manifest:
    """Who the project's jobs are."""
    metadata = _metadata(labels.kubernetes_name(project.project_name), project, environment)
    metadata["annotations"].update(project.annotations)
    return {
        "apiVersion": SERVICE_ACCOUNT.api_version,
        "kind": SERVICE_ACCOUNT.name,
        "metadata": metadata,
        "automountServiceAccountToken": False,
    }


def _metadata(name: str, project: DeployedProject, environment: Environment) -> dict[str, Any]:
    common = labels.common_labels(
        name=labels.PROJECT,
        instance=project.project_name,
        component=labels.PROJECT,
        tenant_id=environment.defaults.tenant_id,
    )
    return {
        "name": name,
        "namespace": environment.name,
        "labels": {**common, keys.PROJECT_ID: project.project_id},
        "annotations": {keys.PROJECT_NAME: project.project_name},
    }


def _config_map(project_name: str) -> str:
    return f"project-{labels.kubernetes_name(project_name)}"
