"""Serves the kinds of a CustomResourceDefinition from its creation on, and cleans up behind one that goes."""

from collections.abc import Iterable

from agentd.embedded.kube.controllers.controller import Controller, Hands, Key
from agentd.embedded.kube.controllers.owned import with_condition
from agentd.embedded.kube.custom.definitions import FINALIZER
from agentd.embedded.kube.custom.kinds import kinds_of
from agentd.embedded.kube.kinds import DEFINITIONS
from agentd.embedded.kube.objects import Object, child, is_terminating, name_of
from agentd.embedded.kube.store import Change, Resource
from agentd.embedded.kube.world import World

_TERMINATING = {
    "type": "Terminating",
    "status": "True",
    "reason": "InstanceDeletionInProgress",
    "message": "CustomResource deletion is in progress",
}


def _keys(world: World, change: Change) -> Iterable[Key]:
    if change.resource == DEFINITIONS:
        return (("", name_of(change.item)),)
    kind = world.kinds.stored(*change.resource)
    if kind is not None and kind.custom:
        return (("", f"{kind.plural}.{kind.group}"),)
    return ()


def _reconcile(hands: Hands, key: Key) -> None:
    _, name = key
    definition = hands.get(DEFINITIONS, "", name)
    plural, _, group = name.partition(".")
    if definition is None:
        hands.world.kinds.replace_custom(group, plural, [])
    elif is_terminating(definition):
        _end(hands, definition, (group, plural))
    else:
        hands.world.store.begin_feed((group, plural))
        hands.world.kinds.replace_custom(group, plural, kinds_of(definition))
        _establish(hands, definition)


def _establish(hands: Hands, definition: Object) -> None:
    status = dict(definition["status"])
    conditions = status.get("conditions") or []
    for told in (
        {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "message": "no conflicts found"},
        {
            "type": "Established",
            "status": "True",
            "reason": "InitialNamesAccepted",
            "message": "the initial names have been accepted",
        },
    ):
        conditions = with_condition(hands.world, conditions, told)
    names = {name: value for name, value in child(definition, "spec", "names").items() if value}
    stored = [*(status.get("storedVersions") or ())]
    for version in definition["spec"]["versions"]:
        if version.get("storage") and version["name"] not in stored:
            stored.append(version["name"])
    status |= {"conditions": conditions, "acceptedNames": names, "storedVersions": stored}
    hands.set_status(DEFINITIONS, definition, status)


def _end(hands: Hands, definition: Object, resource: Resource) -> None:
    status = dict(definition["status"])
    status["conditions"] = with_condition(hands.world, status.get("conditions") or [], _TERMINATING)
    definition = hands.set_status(DEFINITIONS, definition, status)
    for item in list(hands.world.store.all(resource)):
        if not is_terminating(item):
            hands.delete(resource, item)
    if any(True for _ in hands.world.store.all(resource)):
        return
    if FINALIZER in (definition["metadata"].get("finalizers") or ()):
        hands.change(DEFINITIONS, definition, _release)


def _release(definition: Object) -> None:
    kept = [name for name in definition["metadata"]["finalizers"] if name != FINALIZER]
    definition["metadata"]["finalizers"] = kept


DEFINITION_CONTROLLER = Controller("customresourcedefinition", _keys, _reconcile, manager="kube-apiserver")
