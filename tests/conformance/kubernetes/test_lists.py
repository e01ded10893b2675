"""Lists: selectors, pages and what is deleted by them."""

import pytest
from kubernetes_asyncio.client import ApiException

from tests.conformance.kubernetes.rig import Rig, pod, refused

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _colours(rig: Rig) -> None:
    for name, labels in (
        ("one", {"colour": "blue", "size": "large"}),
        ("three", {"size": "small"}),
        ("two", {"colour": "red"}),
    ):
        await rig.config_map(name, labels=labels)


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("colour=blue", ["one"]),
        ("colour==blue,size=large", ["one"]),
        ("colour!=blue,size!=none,!kubernetes", ["kube-root-ca.crt", "three", "two"]),
        ("colour", ["one", "two"]),
        ("!colour,size", ["three"]),
        ("colour in (blue, red),size notin (large)", ["two"]),
    ],
)
async def test_list_by_labels(rig: Rig, selector: str, names: list[str]) -> None:
    await _colours(rig)
    await rig.until(rig.core.list_namespaced_config_map, "kube-root-ca.crt", lambda _item: True)
    listed = await rig.core.list_namespaced_config_map(rig.namespace, label_selector=selector)
    assert [item.metadata.name for item in listed.items] == names


async def test_list_by_fields(rig: Rig) -> None:
    await _colours(rig)
    named = await rig.core.list_namespaced_config_map(rig.namespace, field_selector="metadata.name=two")
    assert [item.metadata.name for item in named.items] == ["two"]
    await rig.core.create_namespaced_pod(rig.namespace, pod("gated", schedulingGates=[{"name": "example.com/wait"}]))
    for selector, names in (
        ("status.phase=Pending", ["gated"]),
        ("status.phase!=Pending", []),
        ("spec.nodeName=", ["gated"]),
    ):
        pods = await rig.core.list_namespaced_pod(rig.namespace, field_selector=selector)
        assert [item.metadata.name for item in pods.items] == names


async def test_list_of_events_by_the_object_they_are_about(rig: Rig) -> None:
    for name in ("one", "two"):
        about = {"kind": "Pod", "namespace": rig.namespace, "name": name, "uid": f"uid-{name}"}
        await rig.core.create_namespaced_event(
            rig.namespace, {"metadata": {"name": name}, "involvedObject": about, "reason": "Started", "type": "Normal"}
        )
    selector = "involvedObject.kind=Pod,involvedObject.name=two,involvedObject.uid=uid-two"
    listed = await rig.core.list_namespaced_event(rig.namespace, field_selector=selector)
    assert [item.metadata.name for item in listed.items] == ["two"]


async def test_unknown_field_of_a_selector_is_refused(rig: Rig) -> None:
    refusal = await refused(rig.core.list_namespaced_config_map(rig.namespace, field_selector="data.colour=blue"))
    assert (refusal.code, refusal.reason) == (400, "BadRequest")


async def test_list_has_a_version_to_watch_from(rig: Rig) -> None:
    before = await rig.core.list_namespaced_config_map(rig.namespace)
    made = await rig.config_map("one")
    after = await rig.core.list_namespaced_config_map(rig.namespace)
    versions = [before.metadata.resource_version, made.metadata.resource_version, after.metadata.resource_version]
    assert [int(version) for version in versions] == sorted(int(version) for version in versions)
    assert int(versions[0]) < int(versions[1])


async def test_pages_show_the_list_as_it_was_at_the_first(rig: Rig) -> None:
    await rig.until(rig.core.list_namespaced_config_map, "kube-root-ca.crt", lambda _item: True)
    await _colours(rig)
    first = await rig.core.list_namespaced_config_map(rig.namespace, limit=2)
    assert [item.metadata.name for item in first.items] == ["kube-root-ca.crt", "one"]
    assert first.metadata.remaining_item_count == 2
    await rig.core.delete_namespaced_config_map("two", rig.namespace)
    await rig.config_map("uninvited")
    rest = await rig.core.list_namespaced_config_map(rig.namespace, limit=10, _continue=first.metadata._continue)
    assert [item.metadata.name for item in rest.items] == ["three", "two"]
    assert rest.metadata.resource_version == first.metadata.resource_version
    assert not rest.metadata._continue


async def test_unreadable_page_token_is_refused(rig: Rig) -> None:
    with pytest.raises(ApiException) as error:
        await rig.core.list_namespaced_config_map(rig.namespace, limit=1, _continue="nonsense")
    assert error.value.status == 400


async def test_list_of_a_version_to_come_is_refused(rig: Rig) -> None:
    current = await rig.core.list_namespaced_config_map(rig.namespace)
    future = str(int(current.metadata.resource_version) + 1_000_000)
    refusal = await refused(
        rig.core.list_namespaced_config_map(
            rig.namespace, resource_version=future, resource_version_match="NotOlderThan"
        )
    )
    assert (refusal.code, refusal.reason) == (504, "Timeout")
    assert refusal.causes[0]["reason"] == "ResourceVersionTooLarge"


async def test_delete_of_a_selection_leaves_the_rest(rig: Rig) -> None:
    await _colours(rig)
    await rig.core.delete_collection_namespaced_config_map(rig.namespace, label_selector="colour")
    listed = await rig.core.list_namespaced_config_map(rig.namespace, label_selector="size")
    assert [item.metadata.name for item in listed.items] == ["three"]
    assert not (await rig.core.list_namespaced_config_map(rig.namespace, label_selector="colour")).items


async def test_list_of_all_namespaces(rig: Rig) -> None:
    await rig.config_map("one", labels={"test": rig.namespace})
    listed = await rig.core.list_config_map_for_all_namespaces(label_selector=f"test={rig.namespace}")
    assert [(item.metadata.namespace, item.metadata.name) for item in listed.items] == [(rig.namespace, "one")]
