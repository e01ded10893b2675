"""An environment's Airflow as it is wanted."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from agentd.events import InstanceLifecycle
from agentd.platform import AirflowDefaults, Kind, Manifest, keys
from agentd.platform.airflow import AirflowAddress
from agentd.platform.airflow_defaults import AirflowComponent, Nodes, Release, Resources
from handlers.manifests import labels
from handlers.manifests.airflow.keys import AirflowKeys
from handlers.manifests.environment import Environment


@dataclass(frozen=True, slots=True)
class AirflowInstance:
    """What an environment's Airflow is, beside what its spec says. `image_volumes`: whether the cluster mounts images."""

    environment: Environment
    release: Release
    defaults: AirflowDefaults
    keys: AirflowKeys
    image_volumes: bool

    @property
    def base_url(self) -> str:
        """Under which people reach it."""
        return self.defaults.base_url.format(environment=self.environment.name).rstrip("/")

    @property
    def prefix(self) -> str:
        """The path that it serves below; empty, or with a slash before it and none behind."""
        return urlsplit(self.base_url).path.rstrip("/")

    @property
    def address(self) -> AirflowAddress:
        """Where the agent asks it, and what its tokens are signed with."""
        return AirflowAddress(self.environment.name, self.prefix, self.keys.jwt_secret)

    @property
    def nodes(self) -> Nodes:
        """The nodes of its own processes."""
        spot = self.environment.spec.instance_lifecycle is InstanceLifecycle.SPOT
        return self.defaults.spot if spot else self.defaults.on_demand

    def resources(self, component: AirflowComponent) -> Resources:
        """What a component asks for."""
        return self.defaults.resources[component]

    def replicas(self, wanted: int = 1) -> int:
        """How many pods there should be now: stated rather than left to `scale`, for what is created while it hibernates."""
        return 0 if self.environment.hibernated else wanted

    def versioned(self, kind: Kind, name: str, **content: object) -> Manifest:
        """One that tells which release the database has been brought to, or is about to be; see `running`."""
        found = self.object(kind, name, **content)
        found["metadata"]["labels"][keys.VERSION] = self.release.version
        return found

    def pod_labels(self, component: AirflowComponent) -> dict[str, str]:
        """What a component's pods are found by. Never changed: a workload's selector cannot be."""
        return {keys.NAME: labels.AIRFLOW, keys.COMPONENT: component.value}

    def object(self, kind: Kind, name: str, **content: object) -> Manifest:
        """An object that this Airflow is made of."""
        return self.environment.object(
            kind, name, part_of=labels.AIRFLOW, component=labels.AIRFLOW, annotations=None, **content
        )
