"""The hand-over from creation to server-side apply, on what a real server records."""

from typing import Any

from agentd.platform import Manifest
from agentd.platform.kubernetes.managed_fields import changed, handed_over, left_over, removal

CONTAINER = 'k:{"name":"main"}'
ENTRY_B = ("f:spec", "f:containers", CONTAINER, "f:env", 'k:{"name":"B"}')


def entry(operation: str, fields: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"manager": "conveyor-agent", "operation": operation, "apiVersion": "v1", "fieldsV1": fields, **more}


def state(*entries: dict[str, Any], **content: Any) -> Manifest:
    metadata = {"name": "x", "resourceVersion": "7", "managedFields": list(entries)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, **content}


CREATED = entry(
    "Update",
    {
        "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
        "f:spec": {
            "f:dnsPolicy": {},
            "f:containers": {
                CONTAINER: {
                    ".": {},
                    "f:name": {},
                    "f:env": {
                        ".": {},
                        'k:{"name":"A"}': {".": {}, "f:name": {}},
                        'k:{"name":"B"}': {".": {}, "f:name": {}},
                    },
                }
            },
        },
    },
)
APPLIED = entry(
    "Apply",
    {
        "f:metadata": {"f:labels": {"f:app": {}}},
        "f:spec": {
            "f:containers": {CONTAINER: {".": {}, "f:name": {}, "f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}}}}}
        },
    },
)
SPEC = {"dnsPolicy": "ClusterFirst", "containers": [{"name": "main", "env": [{"name": "A"}, {"name": "B"}]}]}
LIVE = state(CREATED, spec=SPEC)
EXTRA = [ENTRY_B, ("f:spec", "f:dnsPolicy")]


def test_what_only_the_creation_owns_is_left_over() -> None:
    assert left_over(LIVE, state(CREATED, APPLIED)) == EXTRA


def test_what_somebody_else_owns_too_is_not() -> None:
    other = {**entry("Update", {"f:spec": {"f:dnsPolicy": {}}}), "manager": "kubectl"}
    status = entry("Update", {"f:status": {"f:phase": {}}}, subresource="status")
    live = state(CREATED, other, status, spec=SPEC)
    assert left_over(live, state(APPLIED)) == [ENTRY_B]


def test_nothing_is_left_over_of_another_version() -> None:
    live = state({**CREATED, "apiVersion": "v1beta1"}, spec=SPEC)
    assert left_over(live, state(APPLIED)) == ()
    assert handed_over(live, state(APPLIED)) is None


def test_a_removal_is_bound_to_the_state_and_goes_from_the_end() -> None:
    items = [(*ENTRY_B[:-1], f'k:{{"name":"{name}"}}') for name in ("A", "B", "gone")]
    assert removal(LIVE, [*items, ("f:metadata", "f:a/b~c")]) == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "remove", "path": "/spec/containers/0/env/1"},
        {"op": "remove", "path": "/spec/containers/0/env/0"},
    ]


def test_items_of_lists_are_found_by_key_value_and_index() -> None:
    live = state(spec={"a/b~c": 1, "finalizers": ["one", "two"], "ports": [{"port": 1, "protocol": "TCP"}]})
    paths = [
        ("f:spec", "f:a/b~c"),
        ("f:spec", "f:finalizers", 'v:"two"'),
        ("f:spec", "f:ports", 'k:{"port":1,"protocol":"TCP"}'),
        ("f:spec", "f:ports", "i:0"),
        ("f:spec", "f:ports", "i:3"),
        ("f:spec", "f:ports", "f:port"),
        ("f:spec", 'k:{"port":1}'),
    ]
    assert [operation["path"] for operation in removal(live, paths)[1:]] == [
        "/spec/ports/0",
        "/spec/ports/0",
        "/spec/finalizers/1",
        "/spec/a~1b~0c",
    ]


def test_only_what_does_not_come_back_has_changed() -> None:
    without = state(spec={**SPEC, "containers": [{"name": "main", "env": [{"name": "A"}]}]})
    assert changed(LIVE, without, EXTRA) == [ENTRY_B]


def test_the_apply_gets_what_it_sets_and_what_was_dropped_but_no_defaults() -> None:
    other = {**entry("Update", {"f:status": {}}), "manager": "kubelet"}
    live = state(CREATED, other, spec=SPEC)
    entries = handed_over(live, state(CREATED, APPLIED), [ENTRY_B])
    assert entries is not None
    own = entries[0]
    assert entries[1:] == [other]
    assert own["operation"] == "Apply"
    env = own["fieldsV1"]["f:spec"]["f:containers"][CONTAINER]["f:env"]
    assert env == {'k:{"name":"A"}': {".": {}, "f:name": {}}, 'k:{"name":"B"}': {".": {}, "f:name": {}}}
    assert "f:dnsPolicy" not in own["fieldsV1"]["f:spec"]
    assert handed_over(live, state(CREATED, APPLIED)) == [APPLIED, other]


def test_a_stamp_alone_is_nothing_to_hand_over() -> None:
    stamp = entry("Update", {"f:metadata": {"f:labels": {"f:conveyor.internal/generation": {}}}})
    assert handed_over(state(APPLIED, stamp), state(APPLIED, stamp)) is None
    assert handed_over(state(APPLIED), state(APPLIED)) is None
