"""A kubelet for a real API server: it runs nothing, and reports of pods what their annotations say (see `kubelet_pods`).

`python -m tests.servers.kubelet KUBECONFIG` is one in a process of its own.
"""

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import ClientError
from kubernetes_asyncio.client import ApiClient, ApiException, Configuration
from kubernetes_asyncio.config import load_kube_config

from tests.servers.kubelet_pods import NODE, NODE_ADDRESS, Bind, Object, Remove, Report, next_step

_LOG = logging.getLogger(__name__)
_HEARTBEAT_S = 10.0
_LEASE_S = 40
_AGAIN_S = 1.0
_GONE_OR_CHANGED = (404, 409)
_APPLY = "application/apply-patch+yaml"
_STRATEGIC = "application/strategic-merge-patch+json"
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


@asynccontextmanager
async def fake_kubelet(kubeconfig: Path) -> AsyncIterator[None]:
    """A node that is ready, and whose pods do what they are told, until the block ends.

    Every pod without a node is bound to it, whatever the pod asks of a node. A pod that is deleted ends at once.
    The node stays behind: another kubelet on the same server takes it over, and two at once do no harm.
    """
    configuration = Configuration()
    await load_kube_config(str(kubeconfig), client_configuration=configuration, persist_config=False)
    async with ApiClient(configuration) as client, asyncio.TaskGroup() as group:
        kubelet = _Kubelet(client, group)
        await kubelet.register()
        running = [group.create_task(kubelet.beat()), group.create_task(kubelet.follow())]
        yield
        for task in [*running, *kubelet.serving.values()]:
            task.cancel()


@dataclass(slots=True)
class _Kubelet:
    client: Any  # its calls have no types
    group: asyncio.TaskGroup
    latest: dict[str, Object] = field(default_factory=dict)
    """Pods that changed since they were looked at, by uid."""
    serving: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    """One task for each pod that is being looked at: what is done to a pod is done in order."""

    async def register(self) -> None:
        """Declare the node, and that it is ready."""
        now = _now()
        name = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
        labels = {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
        room = {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "1000"}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "it runs nothing"}
        status = {
            "capacity": room,
            "allocatable": room,
            "addresses": [{"type": "InternalIP", "address": NODE_ADDRESS}, {"type": "Hostname", "address": NODE}],
            "conditions": [ready | {"lastHeartbeatTime": now, "lastTransitionTime": now}],
        }
        await self._apply(f"/api/v1/nodes/{NODE}", {**name, "metadata": {"name": NODE, "labels": labels}})
        await self._apply(f"/api/v1/nodes/{NODE}/status", {**name, "status": status})

    async def beat(self) -> None:
        """Renew the node's lease for ever: without it the controllers take the node for lost."""
        while True:
            now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
            lease = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": NODE},
                "spec": {"holderIdentity": NODE, "leaseDurationSeconds": _LEASE_S, "renewTime": now},
            }
            try:
                await self._apply(f"{_LEASES}/{NODE}", lease)
            except (ClientError, ApiException) as error:
                _LOG.warning("node %s: renewing its lease failed, trying again: %s", NODE, error)
                await asyncio.sleep(_AGAIN_S)
            else:
                await asyncio.sleep(_HEARTBEAT_S)

    async def follow(self) -> None:
        """See to every pod, whenever it changes, for ever."""
        while True:
            try:
                async for kind, pod in self._changes():
                    self._note(kind, pod)
            except (ClientError, ApiException) as error:
                _LOG.warning("watching pods failed, starting again: %s", error)
                await asyncio.sleep(_AGAIN_S)

    async def _changes(self) -> AsyncIterator[tuple[str, Object]]:
        """Without a resource version a watch starts with all there is, so nothing needs to be remembered between two."""
        response = await self.client.call_api(
            "/api/v1/pods",
            "GET",
            query_params=[("watch", "true")],
            auth_settings=["BearerToken"],
            _preload_content=False,
        )
        async with response:
            response.raise_for_status()
            async for line in response.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ApiException(event["object"].get("code"), event["object"].get("message"))
                yield event["type"], event["object"]

    def _note(self, kind: str, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        if kind == "DELETED":
            self.latest.pop(uid, None)
            return
        self.latest[uid] = pod
        if uid not in self.serving:
            self.serving[uid] = self.group.create_task(self._serve(uid))

    async def _serve(self, uid: str) -> None:
        try:
            while pod := self.latest.pop(uid, None):
                await self._see_to(pod)
        finally:
            del self.serving[uid]

    async def _see_to(self, pod: Object) -> None:
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        try:
            await self._do(pod)
        except (ClientError, ApiException) as error:
            if getattr(error, "status", None) in _GONE_OR_CHANGED:
                return  # its next change is on its way
            _LOG.warning("pod %s: trying again: %s", name, error)
            await asyncio.sleep(_AGAIN_S)
            self.latest.setdefault(pod["metadata"]["uid"], pod)

    async def _do(self, pod: Object) -> None:
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        # A pod of the same name that came after this one is another pod.
        this = {"name": metadata["name"], "uid": metadata["uid"]}
        match next_step(pod, _now()):
            case Bind():
                binding = {
                    "apiVersion": "v1",
                    "kind": "Binding",
                    "metadata": this,
                    "target": {"kind": "Node", "name": NODE},
                }
                await self._call("POST", f"{path}/binding", binding)
            case Report(status):
                await self._call("PATCH", f"{path}/status", {"metadata": this, "status": status}, _STRATEGIC)
            case Remove():
                await self._call("DELETE", path, {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}})
            case None:
                pass

    async def _apply(self, path: str, body: Object) -> None:
        await self._call("PATCH", path, body, _APPLY, [("fieldManager", "kubelet"), ("force", "true")])

    async def _call(
        self,
        method: str,
        path: str,
        body: Object,
        content: str = "application/json",
        query: list[tuple[str, str]] | None = None,
    ) -> None:
        await self.client.call_api(
            path,
            method,
            query_params=query or [],
            header_params={"Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


async def _main(kubeconfig: str) -> None:
    async with fake_kubelet(Path(kubeconfig)):
        await asyncio.Event().wait()


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(message)s")
    asyncio.run(_main(sys.argv[1]))
