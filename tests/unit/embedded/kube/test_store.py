"""The store: revisions, what followers see, and how things were."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.embedded.kube.status import ApiError
from agentd.embedded.kube.store import ChangeType, Store

_MAPS = ("", "configmaps")


def _item(name: str, value: int = 0, namespace: str = "space") -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": name}, "data": {"value": value}}


def test_every_change_has_a_revision_of_its_own() -> None:
    store = Store()
    first = store.put(_MAPS, _item("one"))
    second = store.put(_MAPS, _item("one", 1))
    gone = store.remove(_MAPS, "space", "one")
    versions = [int(item["metadata"]["resourceVersion"]) for item in (first, second, gone)]
    assert versions == sorted(set(versions))
    kinds = [change.type for change in store.feed(_MAPS).since(0)]
    assert kinds == [ChangeType.ADDED, ChangeType.MODIFIED, ChangeType.DELETED]


def test_items_come_by_namespace_and_name() -> None:
    store = Store()
    for namespace, name in (("b", "one"), ("a", "two"), ("a", "one")):
        store.put(_MAPS, _item(name, namespace=namespace))
    found = [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in store.all(_MAPS)]
    assert found == [("a", "one"), ("a", "two"), ("b", "one")]
    assert [item["metadata"]["name"] for item in store.all(_MAPS, "b")] == ["one"]


def test_changes_are_kept_up_to_a_number() -> None:
    store = Store(kept_changes=10)
    for number in range(100):
        store.put(_MAPS, _item("one", number))
    with pytest.raises(ApiError, match="too old resource version") as error:
        store.feed(_MAPS).since(1)
    assert error.value.code == 410
    assert len(store.feed(_MAPS).since(store.revision - 10)) == 10


def test_compaction_forgets_the_past_and_keeps_the_present() -> None:
    store = Store()
    store.put(_MAPS, _item("one"))
    revision = store.revision
    store.compact()
    assert store.feed(_MAPS).since(revision) == []
    with pytest.raises(ApiError):
        store.snapshot(_MAPS, None, revision - 1)
    assert [item["metadata"]["name"] for item in store.snapshot(_MAPS, None, revision)] == ["one"]


_STEP = st.tuples(st.sampled_from(["put", "remove"]), st.sampled_from(["a", "b", "c"]))


@settings(deadline=None)
@given(st.lists(_STEP, max_size=30), st.data())
def test_snapshot_is_what_the_list_was(steps: list[tuple[str, str]], data: st.DataObject) -> None:
    store, seen = Store(), {}
    for number, (step, name) in enumerate(steps):
        if step == "put":
            store.put(_MAPS, _item(name, number))
        elif store.get(_MAPS, "space", name) is not None:
            store.remove(_MAPS, "space", name)
        seen[store.revision] = [dict(item) for item in store.all(_MAPS)]
    if seen:
        revision = data.draw(st.sampled_from(sorted(seen)))
        assert [dict(item) for item in store.snapshot(_MAPS, "space", revision)] == seen[revision]
