"""The cluster port: Kubernetes objects, read by anybody and written under a fence."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from agentd.core import Fence, Permission, Plan

Manifest = dict[str, Any]
"""A Kubernetes object as JSON; its shape is its kind's own."""

FIELD_MANAGER = "conveyor-agent"
"""Owns the fields that the agent sets. Source: server-side apply of the Kubernetes API."""


@dataclass(frozen=True, slots=True, order=True)
class Kind:
    """A kind of object, for example `Kind("apps/v1", "Deployment")`."""

    api_version: str
    name: str

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Self:
        """The kind of an object."""
        return cls(manifest["apiVersion"], manifest["kind"])


@dataclass(frozen=True, slots=True, order=True)
class ObjectRef:
    """One object. `namespace` is None for what belongs to no namespace."""

    kind: Kind
    name: str
    namespace: str | None = None

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Self:
        """The reference to an object."""
        metadata = manifest["metadata"]
        return cls(Kind.of(manifest), metadata["name"], metadata.get("namespace"))

    def __str__(self) -> str:
        """As logs, reports and errors name it: `kubernetes:dev/networkpolicy/default-deny`."""
        where = f"{self.namespace}/" if self.namespace else ""
        return f"kubernetes:{where}{self.kind.name.lower()}/{self.name}"


class Applied(StrEnum):
    """What an apply had to do."""

    CREATED = "created"
    CHANGED = "changed"
    STAMPED = "stamped"
    """The content was right already; only the generation was written."""
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Preview:
    """What an apply would do. `before` is None where there is no object; `after` is what the server would make of it,

    but for what it makes up anew each time it is asked, such as a Service's address.

    `waits`: what the object has to wait for, such as its namespace; `after` is then the manifest itself, with its marks.
    """

    applied: Applied
    before: Manifest | None
    after: Manifest
    waits: str | None = None


class ChangeKind(StrEnum):
    """What a watch tells."""

    PRESENT = "present"
    """The object exists, and looks so: new, changed, or listed again after a gap."""
    GONE = "gone"
    """The object has been deleted, also when that happened in a gap."""
    SYNCED = "synced"
    """All that existed when the watch began, or began anew after a gap, has been told."""


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a watch. `manifest` is None for SYNCED; for GONE it is the last state that was seen."""

    kind: ChangeKind
    manifest: Manifest | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of the cluster. `conditions` that are not as they should be, such as MemoryPressure."""

    name: str
    ready: bool
    kubelet_version: str
    instance_type: str | None
    zone: str | None
    architecture: str
    capacity: Mapping[str, str]
    unschedulable: bool = False
    conditions: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    created_at: str | None = None


class ClusterReader(ABC):
    """What may be asked of the cluster. Every call has a time-out of its own and is repeated while the fault is passing.

    Raises TransientError or PermanentError with the operation, the object and the API's own reason and request id, and
    NotReady for a kind that the cluster lacks.
    """

    @abstractmethod
    async def get(self, ref: ObjectRef) -> Manifest | None:
        """The object, or None."""

    @abstractmethod
    async def list(
        self, kind: Kind, *, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Sequence[Manifest]:
        """All objects of a kind with these labels, every page; in one namespace or in all."""

    @abstractmethod
    def watch(
        self, kind: Kind, *, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> AsyncIterator[Change]:
        """Everything that exists, SYNCED, then every change, for ever: resumes after a broken connection, lists again on 410.

        An async generator: close it to stop. Passing faults are waited out with backoff; PermanentError ends it.
        """

    @abstractmethod
    async def version(self) -> str:
        """The API server's version, for example `v1.36.2`."""

    @abstractmethod
    async def healthy(self) -> str | None:
        """None when the API server calls itself ready, else what it says."""

    @abstractmethod
    async def nodes(self) -> Sequence[Node]:
        """The machines of the cluster, by name."""

    @abstractmethod
    async def allowed(self, permission: Permission, *, namespace: str | None = None) -> str | None:
        """None when the agent's identity has the right (an access review), else why not.

        `permission.action` is the verb, `permission.resource` the resource as RBAC spells it: `pods`, `deployments.apps`.
        """


class Cluster(ClusterReader):
    """Writes, each under the fence of the subject on whose behalf it is done.

    The adapter puts the owner id, the generation and the event id on every object, and `<kind>-id` of the fence's subject
    (for example `conveyor.internal/environment-id`). It raises PermanentError(foreign_object) for an object without the
    agent's own owner id or of another subject (I11), and LeaseLost for one with a newer generation than the fence's (I4).
    Creation is a POST, never an upsert; changes carry uid and resourceVersion of the read that they rest on. A write whose
    answer is lost is looked up, not repeated blindly.
    """

    @abstractmethod
    async def apply(self, manifest: Manifest, *, fence: Fence, dry_run: bool = False) -> Applied:
        """Bring one object to what is wanted, and say what that took. Equal content of the same generation writes nothing.

        Strict field validation. A field that an earlier manifest had and this one has not is removed; what others have added,
        or `scale` has set, stays where the manifest says nothing of it. `dry_run` asks the server and writes nothing; the
        fence is not consulted then, and in a namespace that is not there yet the object would be created.
        NotReady while the namespace is missing or leaving, the object is on its way out, or the cluster lacks the kind.
        TransientError(unavailable) when somebody else writes to the object all the time.
        """

    @abstractmethod
    async def preview(self, manifest: Manifest, *, fence: Fence) -> Preview:
        """The object before and after an apply that is only tried: the server is asked, nothing is written.

        Strict field validation, and the same errors as from an apply, but for what has to come first: see `Preview.waits`.
        """

    @abstractmethod
    async def owned(
        self, kinds: Sequence[Kind], *, namespace: str | None, labels: Mapping[str, str], fence: Fence
    ) -> Sequence[Manifest]:
        """Every object of these kinds with the labels that is the fence's subject's own.

        Kinds that the cluster lacks have no objects; those that belong to no namespace are looked for everywhere.
        """

    @abstractmethod
    async def scale(
        self, ref: ObjectRef, replicas: int, *, annotations: Mapping[str, str | None], fence: Fence
    ) -> bool:
        """Set the number of replicas and some annotations (None removes one) in one write; whether anything had to change.

        A newer generation of equal content is stamped. TransientError(unavailable) when the object is not there.
        """

    @abstractmethod
    async def delete(self, ref: ObjectRef, *, fence: Fence, wait_s: float = 0.0) -> None:
        """Delete the object with all that depends on it, and wait so long until it is gone. One that is gone is success.

        Raises NotReady with what blocks it (the finalizers, and for a namespace what is left in it) when it is still there.
        """

    @abstractmethod
    async def prune(
        self,
        kinds: Sequence[Kind],
        *,
        namespace: str | None,
        labels: Mapping[str, str],
        keep: Sequence[ObjectRef],
        fence: Fence,
    ) -> Sequence[ObjectRef]:
        """Delete every object of these kinds with the labels that is the fence's subject's own and is not to be kept.

        So the newest holder finds and removes what a late create has left. Returns what was deleted; what is on its way out
        already is let be, and kinds that the cluster lacks have no objects.
        """

    @abstractmethod
    async def until(
        self,
        kind: Kind,
        *,
        namespace: str,
        labels: Mapping[str, str],
        done: Callable[[Sequence[Manifest]], bool],
        wait_s: float,
    ) -> Sequence[Manifest] | None:
        """Look at all objects of a kind with these labels until they are as they should be: None then, else how they are

        after `wait_s`, or when the server ends the look. A cluster that plans says None at once: a plan waits for nothing.
        """

    @abstractmethod
    async def mounts_images(self) -> bool:
        """Whether pods may mount images as volumes. An API server that cannot do it drops such volumes without a word, so that

        it is asked, by a dry run, and again from time to time. NotReady while the agent's own namespace is missing.
        """

    @abstractmethod
    def planning(self, plan: Plan) -> "Cluster":
        """A cluster that writes nothing: it records in the plan what would be written, and reads as if it had been.

        Ownership and generations are checked all the same. What was deleted is gone at once; a watch ends when it has told
        what there is, for nothing follows from a plan.
        """
