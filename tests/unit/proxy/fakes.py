"""What stands behind the proxy in these tests: an agent and a cluster that record what they are asked."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import NAMESPACE_URL, uuid5

from agentd.core import (
    AgentVersion,
    DeadLetterAccount,
    EventAccount,
    NameAccount,
    NoticeAccount,
    OriginAccount,
    Permission,
    RedriveAccount,
    Subject,
    SubjectAccount,
)
from agentd.platform import Change, ChangeKind, ClusterReader, Kind, Manifest, Node, ObjectRef, keys

T = TypeVar("T")

OWNER = "owner-1"
STATUS: Mapping[str, Any] = {
    "version": "1.2.3",
    "replica": "replica-1",
    "tenant_id": "t",
    "cluster_id": "c",
    "owner_id": OWNER,
    "uptime_s": 12.5,
    "draining": False,
    "intake_paused": ["outbox_full"],
    "event_types": ["conveyor.project.create.v1"],
    "held": {"buffered": 3, "running": 2},
    "work": [
        {
            "event_id": "e",
            "type": "conveyor.project.create.v1",
            "subject": "project/p",
            "generation": 7,
            "running_s": 1.5,
            "step": "create repository",
        },
        {"event_id": "f", "type": "t", "subject": "project/q", "generation": 1, "running_s": None, "step": None},
    ],
    "ledger": {
        "open_events": 1,
        "finished_events": 2,
        "outbox": 3,
        "leases": 4,
        "subjects": 5,
        "tombstones": 6,
        "oldest_open_at": 1_700_000_000.25,
        "waiting": {"lane": 2},
    },
    "oldest_work": {
        "held": {"message_id": "m-1", "phase": "buffered", "held_s": 3.0},
        "running": {"event_id": "e", "type": "conveyor.project.create.v1", "running_s": 1.5, "step": None},
    },
    "loops": [{"loop": "outbox", "progress_age_s": 0.5, "success_age_s": 1.0, "late": False, "doing": "sleeping"}],
    "ailments": ["loop x is late"],
}


class Gate:
    """Holds up whoever comes, until it is opened; counts those who came, and those who were cancelled in it."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._news = asyncio.Event()
        self.came = 0
        self.cancelled = 0

    def open(self) -> None:
        """Let everybody through."""
        self._open.set()

    async def pass_(self) -> None:
        """Wait until it is open."""
        self.came += 1
        self._news.set()
        try:
            await self._open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            self._news.set()
            raise

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait until what it counts is so."""
        while not done():
            self._news.clear()
            await self._news.wait()


class Agent:
    """`Operations` of a test. `gate` holds up `status`; `error` is raised by everything."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.gate: Gate | None = None
        self.error: Exception | None = None
        self.accounts: Sequence[EventAccount] = ()
        self.subjects: Sequence[SubjectAccount] = ()
        self.notices: Sequence[NoticeAccount] = ()
        self.origin: OriginAccount | None = None
        self.letters: Sequence[DeadLetterAccount] = ()
        self.redriven = RedriveAccount((), 0)

    def version(self) -> AgentVersion:
        return AgentVersion("1.2.3", "replica-1", "t", "c", OWNER, ("conveyor.project.create.v1",))

    async def status(self) -> Mapping[str, Any]:
        await self._asked("status")
        return STATUS

    async def explain(self, text: str) -> NameAccount:
        await self._asked("explain", text)
        return NameAccount(self.accounts, self.subjects, self.notices, self.origin)

    async def dead_letters(self, *, limit: int) -> Sequence[DeadLetterAccount]:
        await self._asked("dead_letters", limit)
        return self.letters[:limit]

    async def redrive(self, *, event_ids: Sequence[str], limit: int) -> RedriveAccount:
        await self._asked("redrive", event_ids, limit)
        return self.redriven

    async def reconcile(self, subject: Subject, *, planhash: str, actor: str) -> str:
        await self._asked("reconcile", subject, planhash, actor)
        return str(uuid5(NAMESPACE_URL, f"{subject}{planhash}"))

    async def _asked(self, *what: object) -> None:
        self.asked.append(what)
        if self.gate is not None:
            await self.gate.pass_()
        if self.error is not None:
            raise self.error


class FakeCluster(ClusterReader):
    """A cluster of objects in memory. `gate` holds up `nodes`; `errors` are raised by the calls of that name."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.gate: Gate | None = None
        self.errors: dict[str, Exception] = {}
        self.machines: Sequence[Node] = ()
        self.ailment: str | None = None
        self.watches: Counter[str] = Counter()
        """Open watches by kind."""
        self._objects: dict[ObjectRef, Manifest] = {}
        self._listeners: list[tuple[Kind, Mapping[str, str], asyncio.Queue[Change | Exception]]] = []
        self._news = asyncio.Event()

    def put(self, manifest: Manifest) -> None:
        """Create or change an object."""
        self._objects[ObjectRef.of(manifest)] = manifest
        self._tell(ChangeKind.PRESENT, manifest)

    def remove(self, manifest: Manifest) -> None:
        """Delete an object."""
        del self._objects[ObjectRef.of(manifest)]
        self._tell(ChangeKind.GONE, manifest)

    def resync(self, kind: Kind) -> None:
        """Have every watch tell everything again, as after a gap."""
        for manifest in self._matching(kind, {}):
            self._tell(ChangeKind.PRESENT, manifest)
        for listening, _, queue in self._listeners:
            if listening == kind:
                queue.put_nowait(Change(ChangeKind.SYNCED))

    def fail_watches(self, error: Exception) -> None:
        """End every watch with the error."""
        for _, _, queue in self._listeners:
            queue.put_nowait(error)

    async def until_watched(self, *, times: int) -> None:
        """Wait until so many watches are open."""
        while self.watches.total() != times:
            self._news.clear()
            await self._news.wait()

    async def get(self, ref: ObjectRef) -> Manifest | None:
        return await self._answer("get", self._objects.get(ref))

    async def list(
        self, kind: Kind, *, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Sequence[Manifest]:
        found = [
            manifest
            for manifest in self._matching(kind, labels or {})
            if namespace in (None, manifest["metadata"].get("namespace"))
        ]
        return await self._answer("list", found)

    async def watch(
        self, kind: Kind, *, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Change, None]:
        queue: asyncio.Queue[Change | Exception] = asyncio.Queue()
        listener = (kind, labels or {}, queue)
        self._listeners.append(listener)
        self._count(kind, 1)
        try:
            for manifest in self._matching(kind, labels or {}):
                yield Change(ChangeKind.PRESENT, manifest)
            yield Change(ChangeKind.SYNCED)
            while True:
                change = await queue.get()
                if isinstance(change, Exception):
                    raise change
                yield change
        finally:
            self._listeners.remove(listener)
            self._count(kind, -1)

    async def version(self) -> str:
        return await self._answer("version", "v1.36.2")

    async def healthy(self) -> str | None:
        return await self._answer("healthy", self.ailment)

    async def nodes(self) -> Sequence[Node]:
        if self.gate is not None:
            await self.gate.pass_()
        return await self._answer("nodes", self.machines)

    async def allowed(self, permission: Permission, *, namespace: str | None = None) -> str | None:
        return await self._answer("allowed", None)

    async def _answer(self, name: str, answer: T) -> T:
        self.asked.append((name,))
        if name in self.errors:
            raise self.errors[name]
        return answer

    def _tell(self, kind: ChangeKind, manifest: Manifest) -> None:
        for listening, labels, queue in self._listeners:
            if listening == Kind.of(manifest) and _has(manifest, labels):
                queue.put_nowait(Change(kind, manifest))

    def _matching(self, kind: Kind, labels: Mapping[str, str]) -> Sequence[Manifest]:
        return [manifest for ref, manifest in self._objects.items() if ref.kind == kind and _has(manifest, labels)]

    def _count(self, kind: Kind, difference: int) -> None:
        self.watches[kind.name] += difference
        self._news.set()


def _has(manifest: Manifest, labels: Mapping[str, str]) -> bool:
    return all(manifest["metadata"]["labels"].get(key) == value for key, value in labels.items())


def environment_id(number: int) -> str:
    """The id of the environment with this number."""
    return f"00000000-0000-4000-8000-{number:012d}"


def namespace(
    name: str, number: int, *, owner: str = OWNER, power: str = "awake", generation: int = 1, **metadata: Any
) -> Manifest:
    """The namespace of an environment."""
    labels = {
        keys.OWNER_ID: owner,
        keys.ENVIRONMENT_ID: environment_id(number),
        keys.GENERATION: str(generation),
        keys.POWER: power,
        keys.MANAGED_BY: "conveyor-agent",
        keys.NAMESPACE_NAME: name,
        "team": "data",
    }
    annotations = {keys.AIRFLOW_VERSION: "3.3.0", keys.DELETION_PROTECTION: "true"}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": annotations,
            "creationTimestamp": "2026-01-02T03:04:05Z",
            **metadata,
        },
    }


def deployment(name: str, number: int, project: str, build: str) -> Manifest:
    """The record of a project that is deployed in the environment of that name and number."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"project-{project}",
            "namespace": name,
            "labels": {
                keys.OWNER_ID: OWNER,
                keys.ENVIRONMENT_ID: environment_id(number),
                keys.PROJECT_ID: f"id-of-{project}",
                keys.BUILD_ID: build,
            },
            "annotations": {keys.PROJECT_NAME: project, keys.IMAGE_DIGEST: f"sha256:{build}"},
        },
    }
