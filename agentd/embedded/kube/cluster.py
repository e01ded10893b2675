"""The embedded Kubernetes: an API server in memory with its controllers, in a child process that ends with this one."""

import importlib.util
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from agentd.core import Runtime
from agentd.embedded.child import EmbeddedServerError, run_child
from agentd.embedded.control import ControlClient
from agentd.embedded.faults import Fault
from agentd.embedded.kube.world import Denial, KubeSettings

_MODULE = "agentd.embedded.kube.server"
_NEEDED = ("jsonpatch", "kubernetes_validate")
_READS = ("get", "list", "watch")
_DRY = " (dry run)"
_ASKS_ONLY = ("selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews", "tokenreviews")


class EmbeddedKubernetes:
    """A running API server. Make one with `EmbeddedKubernetes.start`."""

    def __init__(self, url: str, control: ControlClient) -> None:
        self.url = url
        """Where it listens: plain HTTP on loopback, any credentials will do."""
        self._control = control

    @classmethod
    @asynccontextmanager
    async def start(
        cls, port: int | None = None, log: Path | None = None, *, pod_start_s: float | None = None
    ) -> AsyncIterator["EmbeddedKubernetes"]:
        """Run it on a loopback port (any free one unless given) until the block ends.

        Pods run `pod_start_s` seconds after their creation. The child's output goes to the end of the file `log`, or
        nowhere; EmbeddedServerError carries it when the child does not come up.
        """
        if any(importlib.util.find_spec(name) is None for name in _NEEDED):
            raise EmbeddedServerError(
                "the embedded Kubernetes is not installed: it comes with the extra 'embedded' (pip install 'agentd[embedded]')"
            )
        delay = KubeSettings().pod_start_s if pod_start_s is None else pod_start_s
        arguments = (str(port or 0), str(delay))
        async with run_child("the embedded Kubernetes", _MODULE, arguments, environment={}, log=log) as taken:
            url = f"http://127.0.0.1:{taken}"
            async with ControlClient.session(url) as session:
                yield cls(url, ControlClient(session))

    @classmethod
    @asynccontextmanager
    async def start_here(
        cls, runtime: Runtime, settings: KubeSettings | None = None
    ) -> AsyncIterator["EmbeddedKubernetes"]:
        """Run it in this process, on a free loopback port, until the block ends: with a clock and dice of the caller's."""
        from agentd.embedded.kube.here import serve_here

        async with serve_here(runtime, settings or KubeSettings()) as url, ControlClient.session(url) as session:
            yield cls(url, ControlClient(session))

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig with which every client reaches it, and return its path."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "embedded", "cluster": {"server": self.url}}],
            "users": [{"name": "embedded", "user": {"token": "embedded"}}],
            "contexts": [{"name": "embedded", "context": {"cluster": "embedded", "user": "embedded"}}],
            "current-context": "embedded",
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1))
        return path

    async def inject(self, fault: Fault) -> str:
        """Put a fault in force, and return its id. Its service is a resource (pods, pods/log), its operation a verb."""
        return await self._control.inject(fault)

    async def clear(self, *fault_ids: str) -> None:
        """Lift these faults, or all."""
        await self._control.clear(*fault_ids)

    async def hits(self, fault_id: str) -> int:
        """How many calls a fault has met; 0 once it is lifted."""
        return await self._control.hits(fault_id)

    async def calls(self) -> Mapping[tuple[str, str], int]:
        """Calls by (verb, resource) since the start or the last reset, refused ones included.

        Verbs are those of authorization: get, list, watch, create, update, patch, delete, deletecollection. What is asked
        with dryRun counts as "patch (dry run)" and so on.
        """
        return {(verb, resource): number for (resource, verb), number in (await self._control.calls()).items()}

    @staticmethod
    def writes(calls: Mapping[tuple[str, str], int]) -> Mapping[tuple[str, str], int]:
        """Those of the calls that can change something; empty when there are none."""
        return {
            (verb, resource): number
            for (verb, resource), number in calls.items()
            if verb not in _READS and not verb.endswith(_DRY) and resource not in _ASKS_ONLY
        }

    async def reset_calls(self) -> None:
        """Count from nought again."""
        await self._control.reset_calls()

    async def deny(self, *denials: Denial) -> None:
        """Forbid these requests from now on, and no others; without any, everything is allowed again."""
        await self._control.ask("PUT", "denials", json=[asdict(denial) for denial in denials])

    async def compact(self) -> None:
        """Forget what happened so far: watches and pages that go on from an older revision get 410."""
        await self._control.ask("POST", "compact")
