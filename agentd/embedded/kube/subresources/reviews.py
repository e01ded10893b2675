"""Reviews: who somebody is, and what they may do. Everything, but for what is denied on purpose."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from agentd.embedded.kube.kinds import VERBS, Kind
from agentd.embedded.kube.objects import Json, Object, child
from agentd.embedded.kube.status import invalid, wrong
from agentd.embedded.kube.subresources.tokens import subject_of
from agentd.embedded.kube.world import Denial, World
from agentd.embedded.kube.writes import Call

USER = "embedded"
_GROUPS = ("system:masters", "system:authenticated")
_Review = Callable[[World, Call, Object], Object]


def review(world: World, call: Call, raw: Json) -> Object:
    """The answer to a review, which is not stored. ApiError."""
    item = raw if isinstance(raw, dict) else {}
    status = _REVIEWS[call.kind.kind](world, call, item)
    told: Object = {"kind": call.kind.kind, "apiVersion": call.kind.api_version, "metadata": {}}
    if "spec" in item:
        told["spec"] = item["spec"]
    return {**told, "status": status}


def is_review(kind: Kind) -> bool:
    """Whether objects of the kind are questions."""
    return kind.kind in _REVIEWS


def is_denied(world: World, attributes: Denial) -> bool:
    """Whether a request is among those that are denied."""
    return any(denial.meets(attributes) for denial in world.denials)


def _access(world: World, call: Call, item: Object) -> Object:
    spec = child(item, "spec")
    if bool(spec.get("resourceAttributes")) == bool(spec.get("nonResourceAttributes")):
        told = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise invalid("authorization.k8s.io", call.kind.kind, "", [wrong("spec.resourceAttributes", None, told)])
    asked = child(spec, "resourceAttributes")
    denial = Denial(
        verb=asked.get("verb", ""),
        group=asked.get("group", ""),
        resource=asked.get("resource", ""),
        subresource=asked.get("subresource", ""),
        namespace=asked.get("namespace", ""),
        name=asked.get("name", ""),
    )
    if asked and is_denied(world, denial):
        return {"allowed": False, "reason": "denied by the embedded server's own settings"}
    return {"allowed": True, "reason": "the embedded server allows everything that is not denied"}


def _rules(world: World, _call: Call, item: Object) -> Object:
    everywhere = {"verbs": ["*"], "nonResourceURLs": ["*"]}
    if not world.denials:
        rules = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
        return {"resourceRules": rules, "nonResourceRules": [everywhere], "incomplete": False}
    namespace = child(item, "spec").get("namespace", "")
    rules = [
        {"verbs": verbs, "apiGroups": [kind.group], "resources": [kind.plural]}
        for kind in world.kinds
        if (verbs := [verb for verb in VERBS if not is_denied(world, _attributes(kind, verb, namespace))])
    ]
    return {"resourceRules": rules, "nonResourceRules": [everywhere], "incomplete": False}


def _attributes(kind: Kind, verb: str, namespace: str) -> Denial:
    where = namespace if kind.namespaced else ""
    return Denial(verb=verb, group=kind.group, resource=kind.plural, subresource="", namespace=where)


def _self(_world: World, _call: Call, _item: Object) -> Object:
    return {"userInfo": {"username": USER, "groups": list(_GROUPS)}}


def _token(_world: World, _call: Call, item: Object) -> Object:
    token = child(item, "spec").get("token", "")
    if not token:
        return {"authenticated": False, "user": {}, "error": "no token"}
    return {"authenticated": True, "user": {"username": subject_of(token) or USER}}


_REVIEWS: Mapping[str, _Review] = MappingProxyType(
    {
        "SelfSubjectAccessReview": _access,
        "SubjectAccessReview": _access,
        "LocalSubjectAccessReview": _access,
        "SelfSubjectRulesReview": _rules,
        "SelfSubjectReview": _self,
        "TokenReview": _token,
    }
)
