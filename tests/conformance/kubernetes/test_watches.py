"""Watches: from a version, for a time, with bookmarks, and too late."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from kubernetes_asyncio import client
from kubernetes_asyncio.client import ApiException

from tests.conformance.kubernetes.rig import DEADLINE_S, Object, Rig

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Parameters of a list, each with a type of its own.
Options = dict[str, Any]

_LABEL = "watched=yes"
_LABELS = {"watched": "yes"}
_INITIAL_END = "k8s.io/initial-events-end"


async def _version(rig: Rig) -> str:
    listed = await rig.core.list_namespaced_config_map(rig.namespace)
    return str(listed.metadata.resource_version)


async def _take(rig: Rig, number: int, **options: Object) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    async with (
        asyncio.timeout(DEADLINE_S),
        aclosing(rig.watch(rig.core.list_namespaced_config_map, label_selector=_LABEL, **options)) as events,
    ):
        async for event in events:
            found.append((event["type"], event["object"].metadata.name))
            if len(found) == number:
                break
    return found


async def test_watch_from_a_version_shows_what_happened_since(rig: Rig) -> None:
    await rig.config_map("before", labels=_LABELS)
    version = await _version(rig)
    await rig.config_map("one", labels=_LABELS)
    await rig.core.patch_namespaced_config_map("one", rig.namespace, {"data": {"colour": "red"}})
    await rig.core.delete_namespaced_config_map("one", rig.namespace)
    events = await _take(rig, 3, resource_version=version)
    assert events == [("ADDED", "one"), ("MODIFIED", "one"), ("DELETED", "one")]


async def test_watch_without_a_version_begins_with_what_is_there(rig: Rig) -> None:
    await rig.config_map("one", labels=_LABELS)
    await rig.config_map("two", labels=_LABELS)
    assert sorted(await _take(rig, 2, resource_version="0")) == [("ADDED", "one"), ("ADDED", "two")]


async def test_watch_shows_what_happens_while_it_waits(rig: Rig) -> None:
    version = await _version(rig)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(_take(rig, 1, resource_version=version))
        group.create_task(rig.config_map("one", labels=_LABELS))
    assert watching.result() == [("ADDED", "one")]


async def test_object_that_comes_to_be_selected_is_added_and_one_that_no_longer_is_deleted(rig: Rig) -> None:
    version = await _version(rig)
    await rig.config_map("one")
    for labels in (_LABELS, {"watched": None}):
        await rig.core.patch_namespaced_config_map("one", rig.namespace, {"metadata": {"labels": labels}})
    assert await _take(rig, 2, resource_version=version) == [("ADDED", "one"), ("DELETED", "one")]


async def test_deletion_has_a_version_of_its_own(rig: Rig) -> None:
    made = await rig.config_map("one", labels=_LABELS)
    await rig.core.delete_namespaced_config_map("one", rig.namespace)
    options: Options = {"label_selector": _LABEL, "resource_version": made.metadata.resource_version}
    async with (
        asyncio.timeout(DEADLINE_S),
        aclosing(rig.watch(rig.core.list_namespaced_config_map, **options)) as events,
    ):
        async for event in events:
            assert event["type"] == "DELETED"
            assert event["object"].metadata.uid == made.metadata.uid
            assert int(event["object"].metadata.resource_version) > int(made.metadata.resource_version)
            break


async def test_server_ends_a_watch_when_its_time_is_over(rig: Rig) -> None:
    version = await _version(rig)
    begun = asyncio.get_running_loop().time()
    async with asyncio.timeout(DEADLINE_S):
        assert await _take(rig, 1, resource_version=version, timeout_seconds=1) == []
    assert asyncio.get_running_loop().time() - begun >= 1


async def test_bookmark_tells_how_far_a_quiet_watch_has_come(rig: Rig) -> None:
    version = await _version(rig)
    await rig.config_map("elsewhere")
    options: Options = {"resource_version": version, "allow_watch_bookmarks": True, "timeout_seconds": 15}
    async with (
        asyncio.timeout(DEADLINE_S),
        aclosing(rig.watch(rig.core.list_namespaced_config_map, label_selector=_LABEL, **options)) as events,
    ):
        event = await anext(events)
    assert event["type"] == "BOOKMARK"
    assert int(event["raw_object"]["metadata"]["resourceVersion"]) > int(version)


async def test_streamed_list_ends_with_a_bookmark_that_says_so(rig: Rig) -> None:
    await rig.config_map("one", labels=_LABELS)
    await rig.config_map("two", labels=_LABELS)
    options: Options = {
        "label_selector": _LABEL,
        "send_initial_events": True,
        "resource_version_match": "NotOlderThan",
        "allow_watch_bookmarks": True,
    }
    found: list[Object] = []
    try:
        async with (
            asyncio.timeout(DEADLINE_S),
            aclosing(rig.watch(rig.core.list_namespaced_config_map, **options)) as events,
        ):
            while not found or found[-1]["type"] != "BOOKMARK":
                found.append(await anext(events))
    except ApiException as error:
        if "RequestWatchProgress is disabled" not in str(error.reason):
            raise
        pytest.skip("the server's etcd is too old to be asked how far it is, and so it streams no lists")
    shown = [(event["type"], event["raw_object"]["metadata"].get("name")) for event in found]
    assert sorted(shown[:-1]) == [("ADDED", "one"), ("ADDED", "two")]
    assert found[-1]["raw_object"]["metadata"]["annotations"] == {_INITIAL_END: "true"}


async def test_streamed_list_has_to_say_how_old_it_may_be(rig: Rig) -> None:
    with pytest.raises(ApiException) as error:
        await rig.core.list_namespaced_config_map(rig.namespace, watch=True, send_initial_events=True)
    assert error.value.status == 422


async def test_watch_from_before_what_is_kept_is_gone(rig: Rig) -> None:
    """A kind that is new has no changes from before it was."""
    extensions = rig.using(client.ApiextensionsV1Api)
    group = f"{rig.namespace}.example.com"
    schema = {"openAPIV3Schema": {"type": "object"}}
    body = {
        "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }
    await extensions.create_custom_resource_definition(body)
    try:
        await rig.until(extensions.list_custom_resource_definition, f"things.{group}", _is_established, cluster=True)
        await _until_served(rig, group)
        with pytest.raises(ApiException) as error:
            await _first_event_since(rig, group, "1")
        assert error.value.status == 410
    finally:
        await extensions.delete_custom_resource_definition(f"things.{group}")


async def _first_event_since(rig: Rig, group: str, version: str) -> Object:
    listing = rig.using(client.CustomObjectsApi).list_cluster_custom_object
    options: Options = {"group": group, "version": "v1", "plural": "things", "resource_version": version}
    async with asyncio.timeout(DEADLINE_S), aclosing(rig.watch(listing, cluster=True, **options)) as events:
        return await anext(events)


def _is_established(definition: Object) -> bool:
    conditions = definition.status.conditions or []
    return any(one.type == "Established" and one.status == "True" for one in conditions)


async def _until_served(rig: Rig, group: str) -> None:
    custom = rig.using(client.CustomObjectsApi)
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                await custom.list_cluster_custom_object(group, "v1", "things")
            except ApiException as error:
                if error.status not in (404, 429):  # 429: its storage is being made ready
                    raise
            else:
                return
