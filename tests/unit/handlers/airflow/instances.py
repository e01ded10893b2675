"""Airflows and projects that their manifests' tests are about."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from agentd.platform import AirflowDefaults, Manifest
from agentd.platform.airflow_defaults import AirflowComponent, Nodes, Toleration
from handlers.manifests import Environment
from handlers.manifests.airflow import AirflowInstance, AirflowKeys, StreamingApplication
from handlers.manifests.projects import DeployedProject
from tests.unit.handlers.specs import DEPLOYED, PLAIN

DEFAULTS = AirflowDefaults(
    base_url="https://data.example/environments/{environment}/airflow",
    spot=Nodes({"pool": "spot"}, (Toleration("spot", "true", "NoSchedule"),)),
    on_demand=Nodes({"pool": "steady"}),
    image_pull_secrets=("registry",),
    priority_class="platform",
)
KEYS = AirflowKeys("the-fernet-key", "the-jwt-secret", "the-api-key", "the/password")
SECRETS = (KEYS.fernet_key, KEYS.jwt_secret, KEYS.api_secret_key, KEYS.database_password)

ORDERS = DEPLOYED
SHOP = replace(DEPLOYED, project_id="6f0c1f1e-0d3c-4b7a-8f61-2a8e6b9d0c11", project_name="shop")
PROJECTS = (ORDERS, SHOP)
APPLICATIONS: Mapping[str, Sequence[StreamingApplication]] = {
    "team_orders": (StreamingApplication("ingest", ("--topic", "orders"), {"LEVEL": "info"}, replicas=2),),
}


def instance(environment: Environment = PLAIN, *, image_volumes: bool = True, **defaults: Any) -> AirflowInstance:
    """An Airflow on the defaults above, or on others."""
    chosen = replace(DEFAULTS, **defaults)
    return AirflowInstance(environment, chosen.releases[0], chosen, KEYS, image_volumes)


def named(project_name: str) -> DeployedProject:
    """A project like the others."""
    return replace(DEPLOYED, project_name=project_name)


def of_kind(found: Sequence[Manifest], kind: str) -> dict[str, Manifest]:
    """The objects of a kind, by name."""
    return {manifest["metadata"]["name"]: manifest for manifest in found if manifest["kind"] == kind}


def pod_of(found: Sequence[Manifest], component: AirflowComponent) -> dict[str, Any]:
    """The pod of a Deployment, without its metadata."""
    spec: dict[str, Any] = of_kind(found, "Deployment")[f"airflow-{component}"]["spec"]["template"]["spec"]
    return spec


def variables(pod: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of a pod's own container: texts, and for secrets their name and key."""
    found: dict[str, Any] = {}
    for variable in pod["containers"][0]["env"]:
        if "value" in variable:
            found[variable["name"]] = variable["value"]
        else:
            reference = variable["valueFrom"]["secretKeyRef"]
            found[variable["name"]] = (reference["name"], reference["key"])
    return found
