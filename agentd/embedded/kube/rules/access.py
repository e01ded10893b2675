"""Rules of roles and their bindings."""

from collections.abc import Iterator

from agentd.embedded.kube.objects import Object, ObjectView, child
from agentd.embedded.kube.rules.common import check_enum
from agentd.embedded.kube.rules.rules import Rules
from agentd.embedded.kube.status import Cause, required, wrong

_SUBJECTS = ("ServiceAccount", "User", "Group")


def _check_role(role: Object) -> Iterator[Cause]:
    for index, rule in enumerate(role.get("rules") or ()):
        yield from _check_rule(rule, f"rules[{index}]", cluster=role["kind"] == "ClusterRole")


def _check_rule(rule: ObjectView, path: str, *, cluster: bool) -> Iterator[Cause]:
    if not rule.get("verbs"):
        yield required(f"{path}.verbs", "verbs must contain at least one value")
    if rule.get("nonResourceURLs"):
        if not cluster:
            told = "namespaced rules cannot apply to non-resource URLs"
            yield wrong(f"{path}.nonResourceURLs", rule["nonResourceURLs"], told)
        return
    if not rule.get("apiGroups"):
        yield required(f"{path}.apiGroups", "resource rules must supply at least one api group")
    if not rule.get("resources"):
        yield required(f"{path}.resources", "resource rules must supply at least one resource")


def _check_binding(binding: Object) -> Iterator[Cause]:
    reference = child(binding, "roleRef")
    kinds = ("Role", "ClusterRole") if binding["kind"] == "RoleBinding" else ("ClusterRole",)
    yield from check_enum(reference.get("apiGroup", ""), ("rbac.authorization.k8s.io",), "roleRef.apiGroup")
    yield from check_enum(reference.get("kind", ""), kinds, "roleRef.kind")
    if not reference.get("name"):
        yield required("roleRef.name")
    for index, subject in enumerate(binding.get("subjects") or ()):
        yield from _check_subject(subject, f"subjects[{index}]", cluster=binding["kind"] != "RoleBinding")


def _check_subject(subject: ObjectView, path: str, *, cluster: bool) -> Iterator[Cause]:
    if not subject.get("name"):
        yield required(f"{path}.name")
    yield from check_enum(subject.get("kind", ""), _SUBJECTS, f"{path}.kind")
    if cluster and subject.get("kind") == "ServiceAccount" and not subject.get("namespace"):
        yield required(f"{path}.namespace")


def _check_reference_kept(new: Object, live: Object) -> Iterator[Cause]:
    if new.get("roleRef") != live.get("roleRef"):
        yield wrong("roleRef", new.get("roleRef"), "cannot change roleRef")


ROLE_RULES = Rules(validate=_check_role)
BINDING_RULES = Rules(validate=_check_binding, validate_update=_check_reference_kept)
