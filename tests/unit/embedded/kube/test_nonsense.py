"""Whatever a client sends, the answer is a Status, and nothing else breaks."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.core import system_runtime
from agentd.embedded.kube.controllers.manager import start
from agentd.embedded.kube.objects import clone
from agentd.embedded.kube.serving.targets import find_target
from agentd.embedded.kube.status import ApiError
from agentd.embedded.kube.world import World
from agentd.embedded.kube.writes import Call, Patch, PatchType, create, patch, replace

# Manifests and what is put into them: any JSON.
Json = Any
Ask = Callable[[World, Call, Json], Json]

_NAMESPACE = "/namespaces/default/"
_POD_SPEC = {
    "containers": [
        {
            "name": "main",
            "image": "app:1",
            "ports": [{"containerPort": 80}],
            "env": [{"name": "A", "value": "1"}],
            "resources": {"limits": {"cpu": "1"}},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        }
    ],
    "volumes": [{"name": "data"}],
}
_LABELS = {"app": "one"}
_TEMPLATE = {"metadata": {"labels": _LABELS}, "spec": _POD_SPEC}
_MANIFESTS: dict[str, Json] = {
    f"/api/v1{_NAMESPACE}pods": {"spec": _POD_SPEC},
    f"/api/v1{_NAMESPACE}configmaps": {"data": {"colour": "blue"}},
    f"/api/v1{_NAMESPACE}secrets": {"stringData": {"colour": "blue"}},
    f"/api/v1{_NAMESPACE}services": {"spec": {"ports": [{"port": 80, "targetPort": "http"}], "selector": _LABELS}},
    f"/api/v1{_NAMESPACE}resourcequotas": {"spec": {"hard": {"pods": "10", "requests.cpu": "1"}}},
    f"/api/v1{_NAMESPACE}limitranges": {"spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}}]}},
    f"/apis/apps/v1{_NAMESPACE}deployments": {"spec": {"selector": {"matchLabels": _LABELS}, "template": _TEMPLATE}},
    f"/apis/batch/v1{_NAMESPACE}jobs": {"spec": {"template": {"spec": {**_POD_SPEC, "restartPolicy": "Never"}}}},
    f"/apis/rbac.authorization.k8s.io/v1{_NAMESPACE}rolebindings": {
        "roleRef": {"kind": "Role", "name": "one"},
        "subjects": [{"kind": "User", "name": "one"}],
    },
}
_JUNK: st.SearchStrategy[Json] = st.sampled_from(
    [None, "", 0, -1, True, [], {}, "x y", 1.5, ["a"], {"a": "b"}, [None], [{}], [[]], [{"name": None}], "9" * 20]
)


@pytest.fixture(scope="module")
def world() -> World:
    made = World(system_runtime())
    start(made)
    return made


def _paths(value: Json, path: tuple[Json, ...] = ()) -> Iterator[tuple[Json, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in entries:
        yield (*path, key)
        yield from _paths(below, (*path, key))


def _spoiled(manifest: Json, path: tuple[Json, ...], junk: Json) -> Json:
    spoiled = clone(manifest)
    here = spoiled
    for key in path[:-1]:
        here = here[key]
    here[path[-1]] = clone(junk)
    return spoiled


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_nonsense_is_answered_with_a_status(world: World, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(sorted(_MANIFESTS)))
    target = find_target(world.kinds, place)
    head = {"apiVersion": target.kind.api_version, "kind": target.kind.kind, "metadata": {"name": "one"}}
    manifest = {**head, **_MANIFESTS[place]}
    path = data.draw(st.sampled_from(list(_paths(manifest))))
    body = _spoiled(manifest, path, data.draw(_JUNK))
    call = Call(target.kind, "default", "one", manager="test", dry_run=data.draw(st.booleans()), force=True)
    asked = data.draw(st.sampled_from(sorted(_ASKED)))
    try:
        answer = _ASKED[asked](world, call, body)
    except ApiError as error:
        answer = error.status()
    assert answer["metadata"].get("name") or answer["kind"] == "Status"


def _patch(kind: PatchType) -> Ask:
    def ask(world: World, call: Call, body: Json) -> Json:
        return patch(world, call, Patch(kind, json.dumps(body).encode()))[0]

    return ask


_ASKED: dict[str, Ask] = {
    "create": create,
    "replace": lambda world, call, body: replace(world, call, body)[0],
    "apply": _patch(PatchType.APPLY),
    "merge": _patch(PatchType.MERGE),
    "strategic": _patch(PatchType.STRATEGIC),
}
