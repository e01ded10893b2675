"""What the cluster's tests share: an adapter behind a relay, a namespace of one's own, and a customer's hands."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext
from typing import Any
from uuid import uuid4

from kubernetes_asyncio.client import ApiClient, Configuration
from kubernetes_asyncio.config import load_kube_config

from agentd.core import AwsConfig, Subject, system_runtime
from agentd.platform import Kind, Manifest, ObjectRef
from agentd.platform.aws.session import AwsSession
from agentd.platform.config import ClusterConfig
from agentd.platform.kubernetes import Connection, KubernetesCluster, choose_access
from agentd.platform.kubernetes.access import Access
from agentd.telemetry import Metrics
from tests.conformance.cluster.relay import Relay, run_relay
from tests.conformance.registry.support import RecordingFence, new_subject

CONFIG_MAP = Kind("v1", "ConfigMap")
DEPLOYMENT = Kind("apps/v1", "Deployment")
_MERGE = "application/merge-patch+json"
_TIMEOUT_S = 20.0


class Refused(Exception):
    """The server refused what the hands asked for."""


@dataclass
class Hands:
    """What people, controllers and pipelines do in a cluster beside the agent."""

    api: ApiClient

    async def call(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", **query: str
    ) -> Any:
        """Any call. Raises Refused."""
        response = await self.api.call_api(
            path,
            method,
            query_params=list(query.items()),
            header_params={"Content-Type": content_type, "Accept": "application/json"},
            body=body,
            auth_settings=["BearerToken"],
            _preload_content=False,
        )
        text = await response.text()
        if response.status >= 400:
            raise Refused(f"{response.status} {text}")
        return json.loads(text)

    async def get(self, path: str) -> Any:
        """One object; None when it is not there, or its kind's storage is being made ready."""
        try:
            return await self.call("GET", path)
        except Refused as refused:
            if str(refused).startswith("404") or "storage is (re)initializing" in str(refused):
                return None
            raise

    async def patch(self, path: str, body: Any) -> Any:
        """A merge patch, as somebody else."""
        return await self.call("PATCH", path, body, _MERGE, fieldManager="somebody")

    async def delete(self, path: str, **options: Any) -> Any:
        """Delete one object."""
        return await self.call("DELETE", path, {"apiVersion": "v1", "kind": "DeleteOptions", **options})

    async def until(self, path: str, good: Any) -> Any:
        """One object, once it is as it should be: each look waits for the server, not for a clock."""
        async with asyncio.timeout(_TIMEOUT_S):
            while not good(found := await self.get(path)):
                pass
        return found


@dataclass
class Server:
    """An API server to run against."""

    name: str
    kubeconfig: Path
    hands: Hands

    @property
    def url(self) -> str:
        """Where it is."""
        return str(self.hands.api.configuration.host)


@dataclass
class Bench:
    """One adapter on one server behind a relay, with a namespace and an owner of its own."""

    cluster: KubernetesCluster
    relay: Relay
    hands: Hands
    metrics: Metrics
    config: ClusterConfig
    namespace: str
    owner_id: str = field(default_factory=lambda: f"owner-{uuid4()}")

    def fence(
        self, subject: Subject | None = None, generation: int = 1, *, owner_id: str | None = None
    ) -> RecordingFence:
        return RecordingFence(subject or new_subject("environment"), owner_id or self.owner_id, generation)

    def config_map(self, name: str = "x", **data: str) -> Manifest:
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data or {"a": "1"}}

    def deployment(self, name: str = "web", **spec: Any) -> Manifest:
        pod = {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "main", "image": "example/web:1", "env": [{"name": "A", "value": "1"}]}]},
        }
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"selector": {"matchLabels": {"app": name}}, "template": pod, **spec},
        }

    def ref(self, name: str = "x", kind: Kind = CONFIG_MAP) -> ObjectRef:
        return ObjectRef(kind, name, self.namespace)

    def path(self, name: str = "x", plural: str = "configmaps") -> str:
        root = "/apis/apps/v1" if plural == "deployments" else "/api/v1"
        return f"{root}/namespaces/{self.namespace}/{plural}/{name}"

    async def seen(self, name: str = "x", kind: Kind = CONFIG_MAP) -> Manifest:
        found = await self.cluster.get(self.ref(name, kind))
        assert found is not None
        return found

    def counted(self, operation: str, code: str) -> int:
        """How often an operation ended so, by the metric."""
        labels = {"port": "cluster", "operation": operation, "code": code}
        return int(self.metrics.registry.get_sample_value("agentd_platform_call_duration_seconds_count", labels) or 0)


def labels_of(manifest: Manifest) -> Mapping[str, str]:
    found: Mapping[str, str] = manifest["metadata"]["labels"]
    return found


@asynccontextmanager
async def connect(name: str, kubeconfig: Path) -> AsyncIterator[Server]:
    """A server that is running."""
    configuration = Configuration()
    await load_kube_config(str(kubeconfig), client_configuration=configuration, persist_config=False)
    async with ApiClient(configuration) as api:
        yield Server(name, kubeconfig, Hands(api))


@asynccontextmanager
async def relayed(server: Server, *, tls: SSLContext | None = None) -> AsyncIterator[Relay]:
    """A relay to the server, as its administrator."""
    api = server.hands.api
    token = await api.configuration.get_api_key_with_prefix("BearerToken")
    headers = {"Authorization": token} if token else {}
    async with run_relay(api.rest_client.pool_manager, server.url, headers, tls=tls) as relay:
        yield relay


def write_kubeconfig(path: Path, url: str, user: Mapping[str, Any], **cluster: str) -> Path:
    """A kubeconfig with one cluster and one user."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": url, **cluster}}],
        "users": [{"name": "test", "user": dict(user)}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    path.write_text(json.dumps(content))
    return path


@asynccontextmanager
async def adapter(
    config: ClusterConfig, metrics: Metrics | None = None, access: Access | None = None, aws: AwsConfig | None = None
) -> AsyncIterator[KubernetesCluster]:
    """The adapter as it is wired in the product, unless it is given another access."""
    runtime, metrics = system_runtime(), metrics or Metrics()
    async with AwsSession(aws or AwsConfig()) as session:
        chosen = access or choose_access(config, session, metrics=metrics, runtime=runtime)
        async with Connection(chosen, runtime) as connection:
            yield KubernetesCluster(connection, config, metrics=metrics, runtime=runtime)


@asynccontextmanager
async def bench(server: Server, folder: Path, **settings: Any) -> AsyncIterator[Bench]:
    """An adapter and a namespace that nobody else uses."""
    namespace = f"test-{uuid4().hex[:12]}"
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    await server.hands.call("POST", "/api/v1/namespaces", manifest)
    metrics = Metrics()
    async with relayed(server) as relay:
        kubeconfig = write_kubeconfig(folder / "kubeconfig", relay.url, {"token": "a token"})
        config = ClusterConfig.model_validate({"access": "kubeconfig", "kubeconfig": kubeconfig, **settings})
        async with adapter(config, metrics) as cluster:
            yield Bench(cluster, relay, server.hands, metrics, config, namespace)
    if await server.hands.get(path := f"/api/v1/namespaces/{namespace}") is not None:
        await server.hands.delete(path)
