"""A request for one object, read from its path, query and headers."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from agentd.embedded.kube.kinds import Kind
from agentd.embedded.kube.objects import Object
from agentd.embedded.kube.ownership import Manager
from agentd.embedded.kube.status import ApiError, already_exists, not_found
from agentd.embedded.kube.typed import Path

_STATUS = "f:status"
_SPEC = "f:spec"
_METADATA = "f:metadata"

LABELS_APART = ("apps", "batch")  # groups whose status endpoints leave the labels alone


@dataclass(slots=True)
class Call:
    """What is asked for, by whom."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    manager: str = "unknown"
    """The fieldManager parameter, or the user agent up to its first slash."""
    dry_run: bool = False
    field_validation: str = "Warn"
    force: bool = False
    """Of an apply: take fields away from others."""
    warnings: list[str] = field(default_factory=list)
    """What the Warning headers of the answer say."""

    @property
    def updater(self) -> Manager:
        """Who the fields belong to that a write other than an apply changes."""
        return Manager(self.manager, "Update", self.kind.api_version, self.subresource)

    @property
    def applier(self) -> Manager:
        """Who the fields of an apply belong to."""
        return Manager(self.manager, "Apply", self.kind.api_version, self.subresource)

    @property
    def ignored_paths(self) -> tuple[Path, ...]:
        """What a write to this endpoint never changes, whatever it says."""
        if self.subresource == "status":
            if self.kind.custom:
                return ((_SPEC,), (_METADATA,))
            labels = ((_METADATA, "f:labels"),) if self.kind.group in LABELS_APART else ()
            return ((_SPEC,), *labels)
        return ((_STATUS,),) if self.kind.status and not self.subresource else ()

    def not_found(self) -> ApiError:
        """The object is not there."""
        return not_found(self.kind.group, self.kind.plural, self.name)

    def already_exists(self, name: str) -> ApiError:
        """An object of that name is there."""
        return already_exists(self.kind.group, self.kind.plural, name)

    def warn(self, messages: Sequence[str]) -> None:
        """Tell the client, once each."""
        self.warnings += [message for message in messages if message not in self.warnings]


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """How an object is to be deleted."""

    uid: str = ""
    resource_version: str = ""
    grace_period_s: int | None = None
    propagation: str = ""
    """Background, Foreground, Orphan, or what the object's finalizers say."""

    @classmethod
    def read(cls, body: Object) -> "DeleteOptions":
        """From a DeleteOptions object."""
        preconditions = body.get("preconditions") or {}
        propagation = body.get("propagationPolicy") or ""
        if body.get("orphanDependents") is not None:
            propagation = "Orphan" if body["orphanDependents"] else "Background"
        return cls(
            uid=preconditions.get("uid") or "",
            resource_version=preconditions.get("resourceVersion") or "",
            grace_period_s=body.get("gracePeriodSeconds"),
            propagation=propagation,
        )
