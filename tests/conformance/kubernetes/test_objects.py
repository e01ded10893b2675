"""Creating, reading, replacing and deleting single objects."""

import pytest
from kubernetes_asyncio import client

from tests.conformance.kubernetes.rig import Rig, deployment, refused

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_version_is_one_that_the_client_knows(rig: Rig) -> None:
    version = await rig.using(client.VersionApi).get_code()
    assert (version.major, version.minor) == ("1", "36")
    assert version.git_version.startswith("v1.36.")


async def test_created_object_has_uid_version_and_time(rig: Rig) -> None:
    made = await rig.config_map("one")
    assert made.metadata.uid
    assert int(made.metadata.resource_version) > 0
    assert made.metadata.creation_timestamp is not None
    assert made.metadata.namespace == rig.namespace


async def test_read_object_is_the_created_one(rig: Rig) -> None:
    made = await rig.config_map("one")
    assert await rig.core.read_namespaced_config_map("one", rig.namespace) == made


async def test_second_create_of_a_name_is_refused(rig: Rig) -> None:
    await rig.config_map("one")
    refusal = await refused(rig.config_map("one"))
    assert (refusal.code, refusal.reason) == (409, "AlreadyExists")
    assert refusal.message == 'configmaps "one" already exists'
    assert refusal.status["details"] == {"name": "one", "kind": "configmaps"}


async def test_create_in_a_missing_namespace_is_refused(rig: Rig) -> None:
    refusal = await refused(rig.core.create_namespaced_config_map("missing", {"metadata": {"name": "one"}}))
    assert (refusal.code, refusal.reason) == (404, "NotFound")
    assert refusal.message == 'namespaces "missing" not found'


async def test_missing_object_is_not_found(rig: Rig) -> None:
    refusal = await refused(rig.core.read_namespaced_config_map("one", rig.namespace))
    assert (refusal.code, refusal.reason) == (404, "NotFound")
    assert refusal.status["details"] == {"name": "one", "kind": "configmaps"}


async def test_generated_names_begin_as_asked_and_differ(rig: Rig) -> None:
    names = set()
    for _ in range(3):
        made = await rig.core.create_namespaced_config_map(rig.namespace, {"metadata": {"generateName": "made-"}})
        assert made.metadata.name.startswith("made-")
        names.add(made.metadata.name)
    assert len(names) == 3
    assert {len(name) for name in names} == {len("made-") + 5}


async def test_put_bumps_the_version(rig: Rig) -> None:
    made = await rig.config_map("one")
    made.data = {"colour": "red"}
    put = await rig.core.replace_namespaced_config_map("one", rig.namespace, made)
    assert put.data == {"colour": "red"}
    assert put.metadata.uid == made.metadata.uid
    assert int(put.metadata.resource_version) > int(made.metadata.resource_version)


async def test_put_of_the_same_keeps_the_version(rig: Rig) -> None:
    made = await rig.config_map("one")
    put = await rig.core.replace_namespaced_config_map("one", rig.namespace, made)
    assert put.metadata.resource_version == made.metadata.resource_version


async def test_put_of_a_stale_copy_is_refused(rig: Rig) -> None:
    made = await rig.config_map("one")
    made.data = {"colour": "red"}
    await rig.core.replace_namespaced_config_map("one", rig.namespace, made)
    made.data = {"colour": "green"}
    refusal = await refused(rig.core.replace_namespaced_config_map("one", rig.namespace, made))
    assert (refusal.code, refusal.reason) == (409, "Conflict")
    assert "the object has been modified" in refusal.message
    assert (await rig.core.read_namespaced_config_map("one", rig.namespace)).data == {"colour": "red"}


async def test_put_of_another_object_of_the_name_is_refused(rig: Rig) -> None:
    old = await rig.config_map("one")
    await rig.core.delete_namespaced_config_map("one", rig.namespace)
    await rig.config_map("one")
    refusal = await refused(rig.core.replace_namespaced_config_map("one", rig.namespace, old))
    assert (refusal.code, refusal.reason) == (409, "Conflict")


async def test_put_of_a_missing_object_is_not_found(rig: Rig) -> None:
    refusal = await refused(rig.core.replace_namespaced_config_map("one", rig.namespace, {"metadata": {"name": "one"}}))
    assert refusal.code == 404


async def test_generation_counts_changes_of_the_spec_alone(rig: Rig) -> None:
    made = await rig.apps.create_namespaced_deployment(rig.namespace, deployment("one"))
    assert made.metadata.generation == 1
    labelled = await rig.apps.patch_namespaced_deployment(
        "one", rig.namespace, {"metadata": {"labels": {"colour": "blue"}}}
    )
    assert labelled.metadata.generation == 1
    changed = await rig.apps.patch_namespaced_deployment("one", rig.namespace, {"spec": {"minReadySeconds": 3}})
    assert changed.metadata.generation == 2


async def test_dry_run_answers_and_changes_nothing(rig: Rig) -> None:
    shown = await rig.core.create_namespaced_config_map(rig.namespace, {"metadata": {"name": "one"}}, dry_run="All")
    assert shown.metadata.uid
    assert (await refused(rig.core.read_namespaced_config_map("one", rig.namespace))).code == 404
    made = await rig.config_map("one")
    patch = {"data": {"colour": "red"}}
    patched = await rig.core.patch_namespaced_config_map("one", rig.namespace, patch, dry_run="All")
    assert patched.data == {"colour": "red"}
    await rig.core.delete_namespaced_config_map("one", rig.namespace, dry_run="All")
    assert await rig.core.read_namespaced_config_map("one", rig.namespace) == made


async def test_delete_with_the_uid_of_another_is_refused(rig: Rig) -> None:
    made = await rig.config_map("one")
    for uid, code in (("00000000-0000-0000-0000-000000000000", 409), (made.metadata.uid, None)):
        options = {"preconditions": {"uid": uid}}
        call = rig.core.delete_namespaced_config_map("one", rig.namespace, body=options)
        if code is None:
            await call
        else:
            refusal = await refused(call)
            assert (refusal.code, refusal.reason) == (code, "Conflict")
            assert "UID in the precondition" in refusal.message
    assert (await refused(rig.core.read_namespaced_config_map("one", rig.namespace))).code == 404


async def test_delete_of_a_version_that_is_no_more_is_refused(rig: Rig) -> None:
    made = await rig.config_map("one")
    await rig.core.patch_namespaced_config_map("one", rig.namespace, {"data": {"colour": "red"}})
    options = {"preconditions": {"resourceVersion": made.metadata.resource_version}}
    refusal = await refused(rig.core.delete_namespaced_config_map("one", rig.namespace, body=options))
    assert (refusal.code, refusal.reason) == (409, "Conflict")


async def test_delete_of_a_missing_object_is_not_found(rig: Rig) -> None:
    assert (await refused(rig.core.delete_namespaced_config_map("one", rig.namespace))).code == 404


async def test_lease_is_taken_by_whoever_has_its_newest_version(rig: Rig) -> None:
    leases = rig.using(client.CoordinationV1Api)
    made = await leases.create_namespaced_lease(
        rig.namespace, {"metadata": {"name": "lock"}, "spec": {"holderIdentity": "one"}}
    )
    made.spec.holder_identity = "two"
    await leases.replace_namespaced_lease("lock", rig.namespace, made)
    made.spec.holder_identity = "three"
    refusal = await refused(leases.replace_namespaced_lease("lock", rig.namespace, made))
    assert (refusal.code, refusal.reason) == (409, "Conflict")
    assert (await leases.read_namespaced_lease("lock", rig.namespace)).spec.holder_identity == "two"


async def test_lease_is_not_replaced_blindly(rig: Rig) -> None:
    leases = rig.using(client.CoordinationV1Api)
    body = {"metadata": {"name": "lock"}, "spec": {"holderIdentity": "one"}}
    await leases.create_namespaced_lease(rig.namespace, body)
    refusal = await refused(leases.replace_namespaced_lease("lock", rig.namespace, body))
    assert (refusal.code, refusal.fields) == (422, {"metadata.resourceVersion"})
