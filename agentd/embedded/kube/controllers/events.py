"""Events that controllers record: what happened to an object, counted when it happens again."""

from http import HTTPStatus

from agentd.embedded.kube.controllers.controller import Hands
from agentd.embedded.kube.controllers.owned import template_hash
from agentd.embedded.kube.kinds import EVENTS
from agentd.embedded.kube.objects import Object, clone, name_of, namespace_of, uid_of
from agentd.embedded.kube.status import ApiError


def record(hands: Hands, about: Object, reason: str, message: str, *, component: str, warning: bool = False) -> None:
    """Record an event. Where none may be created any more, in a terminating namespace, there is none."""
    namespace = namespace_of(about) or "default"
    told = {
        "kind": about["kind"],
        "namespace": namespace_of(about),
        "name": name_of(about),
        "uid": uid_of(about),
        "apiVersion": about["apiVersion"],
        "resourceVersion": about["metadata"].get("resourceVersion", ""),
    }
    name = f"{name_of(about)}.{template_hash([uid_of(about), reason, message])}"
    now = hands.world.now()
    known = hands.get(EVENTS, namespace, name)
    if known is not None:
        _count(hands, known, now)
        return
    item = {
        "metadata": {"name": name},
        "involvedObject": told,
        "reason": reason,
        "message": message,
        "type": "Warning" if warning else "Normal",
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": component},
        "reportingComponent": component,
    }
    try:
        hands.create(EVENTS, namespace, item)
    except ApiError as error:
        if error.code not in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
            raise


def _count(hands: Hands, known: Object, now: str) -> None:
    def change(event: Object) -> None:
        event["count"] = event.get("count", 1) + 1
        event["lastTimestamp"] = now

    hands.change(EVENTS, clone(known), change)
