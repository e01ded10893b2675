"""Kinds that come from a CustomResourceDefinition."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from kubernetes_asyncio import client
from kubernetes_asyncio.client import ApiException

from tests.conformance.kubernetes.rig import (
    APPLY,
    DEADLINE_S,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    Manifest,
    Object,
    Rig,
    refused,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

_SPEC_SCHEMA: Manifest = {
    "type": "object",
    "required": ["colour"],
    "properties": {
        "colour": {"type": "string", "enum": ["blue", "red"]},
        "size": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
        "title": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
        "replicas": {"type": "integer"},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "ports": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port"],
            "items": {
                "type": "object",
                "required": ["port"],
                "properties": {"port": {"type": "integer"}, "host": {"type": "string"}},
            },
        },
    },
}
_STATUS_SCHEMA: Manifest = {"type": "object", "properties": {"replicas": {"type": "integer"}}}


@dataclass(frozen=True, slots=True)
class Things:
    """A custom resource of a test's own group, and calls for it."""

    rig: Rig
    group: str

    @property
    def api_version(self) -> str:
        """Its group and version."""
        return f"{self.group}/v1"

    def path(self, *below: str) -> str:
        """Of the resource in the test's namespace, or of what is below it."""
        return "/".join((f"/apis/{self.api_version}/namespaces/{self.rig.namespace}/things", *below))

    def body(self, name: str, **spec: Any) -> Manifest:
        """A thing."""
        return {"apiVersion": self.api_version, "kind": "Thing", "metadata": {"name": name}, "spec": spec}

    async def create(self, name: str, **spec: Any) -> Manifest:
        """A new thing."""
        return await self.rig.send("POST", self.path(), self.body(name, **spec))


@pytest_asyncio.fixture(loop_scope="session")
async def things(rig: Rig) -> AsyncIterator[Things]:
    """A kind that is served until the test ends."""
    extensions = rig.using(client.ApiextensionsV1Api)
    found = Things(rig, f"{rig.namespace}.example.com")
    properties = {"spec": _SPEC_SCHEMA, "status": _STATUS_SCHEMA}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": properties}},
        "subresources": {
            "status": {},
            "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
        },
    }
    names = {"plural": "things", "kind": "Thing", "shortNames": ["th"]}
    spec = {"group": found.group, "scope": "Namespaced", "names": names, "versions": [version]}
    name = f"things.{found.group}"
    await extensions.create_custom_resource_definition({"metadata": {"name": name}, "spec": spec})
    await rig.until(extensions.list_custom_resource_definition, name, _is_established, cluster=True)
    await _until_served(found)
    yield found
    await extensions.delete_custom_resource_definition(name)


async def test_custom_object_is_stored_with_defaults_and_without_unknown_fields(things: Things) -> None:
    made = await things.create("one", colour="blue", unknown=True, free={"anything": [1]})
    assert made["spec"] == {"colour": "blue", "size": 3, "free": {"anything": [1]}}
    assert made["metadata"]["generation"] == 1
    assert await things.rig.send("GET", things.path("one")) == made


@pytest.mark.parametrize(
    ("spec", "field", "reason"),
    [
        ({}, "spec.colour", "FieldValueRequired"),
        ({"colour": "green"}, "spec.colour", "FieldValueNotSupported"),
        ({"colour": "blue", "size": 0}, "spec.size", "FieldValueInvalid"),
        ({"colour": "blue", "size": 10}, "spec.size", "FieldValueInvalid"),
        ({"colour": "blue", "size": "large"}, "spec.size", "FieldValueTypeInvalid"),
        ({"colour": "blue", "title": "UPPER"}, "spec.title", "FieldValueInvalid"),
        ({"colour": "blue", "title": "toolong"}, "spec.title", "FieldValueTooLong"),
        ({"colour": "blue", "ports": [{"port": 1}, {"port": 1}]}, "spec.ports[1]", "FieldValueDuplicate"),
    ],
)
async def test_custom_object_that_breaks_its_schema_is_refused(
    things: Things, spec: dict[str, Any], field: str, reason: str
) -> None:
    refusal = await refused(things.create("one", **spec))
    assert (refusal.code, refusal.reason) == (422, "Invalid")
    assert {(cause["field"], cause["reason"]) for cause in refusal.causes} >= {(field, reason)}


async def test_custom_object_without_a_required_part_is_refused(things: Things) -> None:
    body = things.body("one")
    del body["spec"]
    refusal = await refused(things.rig.send("POST", things.path(), body))
    assert (refusal.code, refusal.fields) == (422, {"spec"})


async def test_strict_validation_of_a_custom_object(things: Things) -> None:
    body = things.body("one", colour="blue", unknown=True)
    refusal = await refused(things.rig.send("POST", things.path(), body, fieldValidation="Strict"))
    assert refusal.code == 400
    assert 'unknown field "spec.unknown"' in refusal.message


async def test_apply_of_a_custom_object_merges_lists_by_their_key(things: Things) -> None:
    body = things.body("one", colour="blue", ports=[{"port": 1, "host": "a"}])
    await things.rig.send("PATCH", things.path("one"), body, content_type=APPLY, fieldManager="one")
    other = things.body("one", ports=[{"port": 2}])
    both = await things.rig.send("PATCH", things.path("one"), other, content_type=APPLY, fieldManager="two")
    assert both["spec"]["ports"] == [{"port": 1, "host": "a"}, {"port": 2}]
    conflicting = things.body("one", ports=[{"port": 1, "host": "b"}])
    call = things.rig.send("PATCH", things.path("one"), conflicting, content_type=APPLY, fieldManager="two")
    assert (await refused(call)).fields == {".spec.ports[port=1].host"}


async def test_apply_of_an_undeclared_field_is_refused(things: Things) -> None:
    body = things.body("one", colour="blue", unknown=True)
    call = things.rig.send("PATCH", things.path("one"), body, content_type=APPLY, fieldManager="one")
    refusal = await refused(call)
    assert refusal.code == 500
    assert refusal.message.endswith(".spec.unknown: field not declared in schema")


async def test_custom_object_takes_no_strategic_patch(things: Things) -> None:
    await things.create("one", colour="blue")
    patch = {"spec": {"size": 4}}
    assert (await refused(_patch(things, "one", patch, STRATEGIC_PATCH))).code == 415
    assert (await _patch(things, "one", patch, MERGE_PATCH))["spec"]["size"] == 4


async def test_custom_object_is_not_replaced_blindly(things: Things) -> None:
    await things.create("one", colour="blue")
    refusal = await refused(things.rig.send("PUT", things.path("one"), things.body("one", colour="red")))
    assert (refusal.code, refusal.fields) == (422, {"metadata.resourceVersion"})


async def test_status_of_a_custom_object_is_apart(things: Things) -> None:
    await things.create("one", colour="blue")
    patch = {"spec": {"size": 4}, "status": {"replicas": 2}}
    patched = await things.rig.send("PATCH", things.path("one", "status"), patch, content_type=MERGE_PATCH)
    assert (patched["spec"]["size"], patched["status"], patched["metadata"]["generation"]) == (3, {"replicas": 2}, 1)
    patched = await _patch(things, "one", {"spec": {"size": 4}, "status": {"replicas": 5}}, MERGE_PATCH)
    assert (patched["spec"]["size"], patched["status"], patched["metadata"]["generation"]) == (4, {"replicas": 2}, 2)


async def test_scale_of_a_custom_object(things: Things) -> None:
    await things.create("one", colour="blue", replicas=1)
    patch = {"spec": {"replicas": 4}}
    scale = await things.rig.send("PATCH", things.path("one", "scale"), patch, content_type=MERGE_PATCH)
    assert (scale["kind"], scale["spec"]) == ("Scale", {"replicas": 4})
    assert (await things.rig.send("GET", things.path("one")))["spec"]["replicas"] == 4


async def test_custom_kind_is_discovered(things: Things) -> None:
    listed = await things.rig.send("GET", f"/apis/{things.api_version}")
    found = {resource["name"]: resource for resource in listed["resources"]}
    assert found.keys() == {"things", "things/status", "things/scale"}
    assert (found["things"]["kind"], found["things"]["shortNames"]) == ("Thing", ["th"])


async def test_typed_client_lists_custom_objects(things: Things) -> None:
    await things.create("one", colour="blue")
    custom = things.rig.using(client.CustomObjectsApi)
    listed = await custom.list_namespaced_custom_object(things.group, "v1", things.rig.namespace, "things")
    assert (listed["kind"], [item["metadata"]["name"] for item in listed["items"]]) == ("ThingList", ["one"])


async def test_definition_takes_its_objects_along(things: Things) -> None:
    await things.create("one", colour="blue")
    extensions = things.rig.using(client.ApiextensionsV1Api)
    name = f"things.{things.group}"
    definition = await extensions.read_custom_resource_definition(name)
    await extensions.delete_custom_resource_definition(name)
    await things.rig.until_gone(extensions.list_custom_resource_definition, name, cluster=True)
    spec = things.rig.api.sanitize_for_serialization(definition.spec)
    await extensions.create_custom_resource_definition({"metadata": {"name": name}, "spec": spec})
    await things.rig.until(extensions.list_custom_resource_definition, name, _is_established, cluster=True)
    await _until_served(things)
    assert (await refused(things.rig.send("GET", things.path("one")))).code == 404


async def _patch(things: Things, name: str, patch: Manifest, content_type: str) -> Manifest:
    return await things.rig.send("PATCH", things.path(name), patch, content_type=content_type)


def _is_established(definition: Object) -> bool:
    conditions = definition.status.conditions or []
    return any(one.type == "Established" and one.status == "True" for one in conditions)


async def _until_served(things: Things) -> None:
    """Established is said a moment before it is so."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                await things.rig.send("GET", things.path())
            except ApiException as error:
                if error.status not in (404, 429):  # 429: its storage is being made ready
                    raise
            else:
                return
