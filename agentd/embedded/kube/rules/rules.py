"""What the rules of a kind consist of."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from agentd.embedded.kube.objects import Object
from agentd.embedded.kube.status import Cause
from agentd.embedded.kube.world import World


def _leave_new(_world: World, _item: Object) -> None:
    return


def _leave_changed(_world: World, _new: Object, _live: Object) -> None:
    return


def _fine(_item: Object) -> Iterable[Cause]:
    return ()


def _fine_change(_new: Object, _live: Object) -> Iterable[Cause]:
    return ()


@dataclass(frozen=True, slots=True)
class Rules:
    """What is done to an object of a kind, and what is asked of it. Objects are changed in place."""

    prepare_create: Callable[[World, Object], None] = _leave_new
    prepare_update: Callable[[World, Object, Object], None] = _leave_changed
    validate: Callable[[Object], Iterable[Cause]] = _fine
    validate_update: Callable[[Object, Object], Iterable[Cause]] = _fine_change
