"""What a controller is, and how it writes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus

from agentd.embedded.kube.kinds import Kind
from agentd.embedded.kube.objects import Json, Object, clone
from agentd.embedded.kube.status import ApiError
from agentd.embedded.kube.store import Change, Resource
from agentd.embedded.kube.world import World
from agentd.embedded.kube.writes import Call, DeleteOptions, create, delete
from agentd.embedded.kube.writes.updating import update

Key = tuple[str, str]
"""Namespace and name of what is to be looked at."""
MANAGER = "kube-controller-manager"


@dataclass(frozen=True, slots=True)
class Controller:
    """A loop from changes to what has to be done about them.

    `keys` says which objects of the controller's a change concerns. `reconcile` brings one into order, whatever happened
    before, and says in how many seconds it wants to see it again, if at all.
    """

    name: str
    keys: Callable[[World, Change], Iterable[Key]]
    reconcile: Callable[["Hands", Key], float | None]
    manager: str = MANAGER
    """Who owns the fields that it writes."""


@dataclass(frozen=True, slots=True)
class Hands:
    """How controllers write: through the same checks as everybody."""

    world: World
    manager: str = MANAGER

    def kind(self, resource: Resource) -> Kind:
        """The kind in which a resource is written. LookupError when it is not served."""
        kind = self.world.kinds.stored(*resource)
        if kind is None:
            raise LookupError(f"{resource} is not served")
        return kind

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """The object as it is; not to be changed."""
        return self.world.store.get(resource, namespace, name)

    def create(self, resource: Resource, namespace: str, item: Json) -> Object:
        """Create an object. ApiError."""
        return create(self.world, Call(self.kind(resource), namespace, manager=self.manager), item)

    def change(
        self, resource: Resource, item: Object, change: Callable[[Object], None], *, subresource: str = ""
    ) -> Object:
        """Change an object that was just read. ApiError."""
        meta = item["metadata"]
        call = Call(
            self.kind(resource), meta.get("namespace", ""), meta["name"], subresource=subresource, manager=self.manager
        )
        new: Object = clone(item)
        change(new)
        return update(self.world, call, item, new)

    def set_status(self, resource: Resource, item: Object, status: Object) -> Object:
        """Write an object's status, if it differs."""
        if item.get("status") == status:
            return item

        def change(new: Object) -> None:
            new["status"] = status

        return self.change(resource, item, change, subresource="status")

    def delete(self, resource: Resource, item: Object, options: DeleteOptions | None = None) -> None:
        """Delete an object that may be gone by now."""
        meta = item["metadata"]
        call = Call(self.kind(resource), meta.get("namespace", ""), meta["name"], manager=self.manager)
        try:
            delete(self.world, call, options or DeleteOptions(uid=meta["uid"]))
        except ApiError as error:
            if error.code not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                raise
