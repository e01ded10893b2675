"""An environment as it is wanted, and the objects that follow from its spec."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentd.events import EnvironmentSpec, Power
from agentd.platform import ClusterDefaults, Kind, Manifest
from handlers.manifests.labels import ENVIRONMENT, common_labels


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment as it is wanted. `identity` is what service accounts carry to become its identity in the cloud."""

    name: str
    spec: EnvironmentSpec
    power: Power
    defaults: ClusterDefaults
    identity: Mapping[str, str] = field(default_factory=dict)

    @property
    def hibernated(self) -> bool:
        """Whether everything in it is stopped."""
        return self.power is Power.HIBERNATED

    def labels(self, *, name: str = ENVIRONMENT, component: str = ENVIRONMENT) -> dict[str, str]:
        """Labels of an object that follows from the spec."""
        return common_labels(name=name, instance=self.name, component=component, tenant_id=self.defaults.tenant_id)

    def object(
        self,
        kind: Kind,
        name: str,
        *,
        part_of: str = ENVIRONMENT,
        component: str = ENVIRONMENT,
        annotations: Mapping[str, str] | None = None,
        **content: object,
    ) -> Manifest:
        """An object in the environment's namespace that follows from its spec."""
        labels = self.labels(name=part_of, component=component)
        metadata: dict[str, Any] = {"name": name, "namespace": self.name, "labels": labels}
        if annotations:
            metadata["annotations"] = dict(annotations)
        return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **content}
