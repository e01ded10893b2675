"""Bringing objects to what is wanted: what is written, how often, and what is left alone."""

from contextlib import suppress
from copy import deepcopy
from typing import Any

import pytest

from agentd.core import LeaseLost, NotReady, PermanentError, Reason, TransientError
from agentd.platform import Applied, Manifest, ObjectRef
from agentd.platform.keys import EVENT_ID, GENERATION, MANAGED_BY, OWNER_ID, PART_OF, TRACE_ID
from agentd.telemetry import TelemetryConfig, Tracing
from tests.conformance.cluster.kinds import NAMES, manifest_of
from tests.conformance.cluster.relay import Fault, Where
from tests.conformance.cluster.support import DEPLOYMENT, Bench, labels_of
from tests.conformance.registry.support import new_subject

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_new_object_is_created_by_post_with_every_label(at: Bench) -> None:
    fence = at.fence()
    manifest = at.config_map()
    manifest["metadata"]["labels"] = {"app.kubernetes.io/name": "x"}
    given = deepcopy(manifest)
    assert await at.cluster.apply(manifest, fence=fence) is Applied.CREATED
    assert manifest == given
    assert labels_of(await at.seen()) == {
        "app.kubernetes.io/name": "x",
        MANAGED_BY: "conveyor-agent",
        PART_OF: "conveyor",
        OWNER_ID: at.owner_id,
        "conveyor.internal/environment-id": fence.subject.uuid,
        GENERATION: "1",
        EVENT_ID: fence.event_id,
    }
    assert [seen.method for seen in at.relay.writes] == ["POST"]
    assert fence.asked == [(f"kubernetes:{at.namespace}/configmap/x", False)]
    query = at.relay.writes[0].query
    assert (query["fieldManager"], query["fieldValidation"]) == ("conveyor-agent", "Strict")


async def test_the_trace_is_the_one_of_the_change(at: Bench) -> None:
    tracing = Tracing(TelemetryConfig(), version="1", replica="one")
    fence = at.fence()
    with tracing.span("first", traceparent=f"00-{'1' * 32}-{'1' * 16}-01"):
        await at.cluster.apply(at.config_map(), fence=fence)
    with tracing.span("second", traceparent=f"00-{'2' * 32}-{'2' * 16}-01"):
        newer = at.fence(fence.subject, generation=2)
        assert await at.cluster.apply(at.config_map(), fence=newer) is Applied.STAMPED
        assert labels_of(await at.seen())[TRACE_ID] == "1" * 32
        assert await at.cluster.apply(at.config_map(a="2"), fence=newer) is Applied.CHANGED
    assert labels_of(await at.seen())[TRACE_ID] == "2" * 32
    assert await at.cluster.apply(at.config_map(a="2"), fence=newer) is Applied.UNCHANGED


@pytest.mark.parametrize("kind", ["config map", "deployment"])
async def test_the_same_again_writes_nothing(at: Bench, kind: str) -> None:
    manifest = at.config_map() if kind == "config map" else at.deployment()
    first = at.fence()
    await at.cluster.apply(manifest, fence=first)
    written = len(at.relay.writes)
    again = at.fence(first.subject)
    assert await at.cluster.apply(manifest, fence=again) is Applied.UNCHANGED
    assert again.asked == []
    assert len(at.relay.writes) == written


async def test_what_the_server_spells_otherwise_is_no_change(at: Bench) -> None:
    manifest = at.deployment()
    manifest["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1000m"}}
    fence = at.fence()
    await at.cluster.apply(manifest, fence=fence)
    assert await at.cluster.apply(manifest, fence=fence) is Applied.UNCHANGED
    manifest["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1"}}
    assert await at.cluster.apply(manifest, fence=fence) is Applied.UNCHANGED


@pytest.mark.parametrize("kind", ["config map", "deployment"])
async def test_a_newer_generation_with_equal_content_stamps_once(at: Bench, kind: str) -> None:
    manifest = at.config_map() if kind == "config map" else at.deployment("x")
    path = at.path() if kind == "config map" else at.path("x", "deployments")
    first = at.fence()
    await at.cluster.apply(manifest, fence=first)
    before = await at.hands.get(path)
    newer = at.fence(first.subject, generation=2)
    assert await at.cluster.apply(manifest, fence=newer) is Applied.STAMPED
    assert {stamp for _, stamp in newer.asked} == {True}
    assert [seen.method for seen in at.relay.writes] == ["POST", "PATCH"]
    after = await at.hands.get(path)
    assert labels_of(after) == {**labels_of(before), GENERATION: "2"}
    assert after.get("spec") == before.get("spec")
    assert after["metadata"].get("generation") == before["metadata"].get("generation")
    assert await at.cluster.apply(manifest, fence=newer) is Applied.UNCHANGED
    assert len(at.relay.writes) == 2


async def test_a_change_is_applied_with_the_event_that_asked_for_it(at: Bench) -> None:
    first = at.fence()
    await at.cluster.apply(at.config_map(a="1"), fence=first)
    newer = at.fence(first.subject, generation=2)
    assert await at.cluster.apply(at.config_map(a="2"), fence=newer) is Applied.CHANGED
    found = await at.seen()
    assert found["data"] == {"a": "2"}
    assert (labels_of(found)[GENERATION], labels_of(found)[EVENT_ID]) == ("2", newer.event_id)
    assert newer.changed
    (write,) = at.relay.writes[1:]
    assert write.headers["Content-Type"] == "application/apply-patch+yaml"
    assert {"uid", "resourceVersion"} <= write.body["metadata"].keys()
    assert write.query["force"] == "true"


async def test_drift_is_brought_back_and_what_others_add_stays(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(at.config_map(a="1"), fence=fence)
    await at.hands.patch(at.path(), {"data": {"a": "9", "theirs": "1"}})
    assert await at.cluster.apply(at.config_map(a="1"), fence=fence) is Applied.CHANGED
    assert (await at.seen())["data"] == {"a": "1", "theirs": "1"}
    assert await at.cluster.apply(at.config_map(a="1"), fence=fence) is Applied.UNCHANGED


@pytest.mark.parametrize("generation", [1, 2])
async def test_a_field_of_the_creation_that_is_dropped_disappears(at: Bench, generation: int) -> None:
    first = at.fence()
    await at.cluster.apply(at.config_map(a="1", b="2"), fence=first)
    later = at.fence(first.subject, generation)
    assert await at.cluster.apply(at.config_map(a="1"), fence=later) is Applied.CHANGED
    assert (await at.seen())["data"] == {"a": "1"}
    assert later.changed
    written = len(at.relay.writes)
    assert await at.cluster.apply(at.config_map(a="1"), fence=later) is Applied.UNCHANGED
    assert len(at.relay.writes) == written


async def test_a_field_that_is_dropped_after_a_stamp_and_after_a_change_disappears(at: Bench) -> None:
    first = at.fence()
    await at.cluster.apply(at.config_map(a="1", b="1", c="1", d="1"), fence=first)
    second = at.fence(first.subject, generation=2)
    assert await at.cluster.apply(at.config_map(a="1", b="1", c="1", d="1"), fence=second) is Applied.STAMPED
    third = at.fence(first.subject, generation=3)
    assert await at.cluster.apply(at.config_map(a="1", b="1", c="1"), fence=third) is Applied.CHANGED
    fourth = at.fence(first.subject, generation=4)
    assert await at.cluster.apply(at.config_map(a="1", b="1"), fence=fourth) is Applied.CHANGED
    assert (await at.seen())["data"] == {"a": "1", "b": "1"}


async def test_a_change_and_a_drop_at_once(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(at.config_map(a="1", b="1"), fence=fence)
    newer = at.fence(fence.subject, generation=2)
    assert await at.cluster.apply(at.config_map(a="2", c="1"), fence=newer) is Applied.CHANGED
    assert (await at.seen())["data"] == {"a": "2", "c": "1"}


async def test_items_of_lists_and_optional_parts_may_be_dropped(at: Bench) -> None:
    fence = at.fence()
    manifest = at.deployment(strategy={"type": "Recreate"}, revisionHistoryLimit=3)
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    container["env"] += [{"name": "B", "value": "2"}, {"name": "C", "value": "3"}]
    manifest["metadata"]["annotations"] = {"example.com/a": "1", "example.com/b": "2"}
    await at.cluster.apply(manifest, fence=fence)
    await at.hands.patch(at.path("web", "deployments"), {"metadata": {"annotations": {"theirs": "1"}}})
    del container["env"][1:]
    del manifest["spec"]["revisionHistoryLimit"], manifest["spec"]["strategy"]
    manifest["metadata"]["annotations"] = {"example.com/a": "1"}
    newer = at.fence(fence.subject, generation=2)
    assert await at.cluster.apply(manifest, fence=newer) is Applied.CHANGED
    found = await at.seen("web", DEPLOYMENT)
    assert found["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "A", "value": "1"}]
    assert (found["spec"]["revisionHistoryLimit"], found["spec"]["strategy"]["type"]) == (10, "RollingUpdate")
    annotations = found["metadata"]["annotations"]
    assert (annotations["example.com/a"], annotations["theirs"]) == ("1", "1")
    assert "example.com/b" not in annotations
    assert await at.cluster.apply(manifest, fence=newer) is Applied.UNCHANGED


def with_volume(at: Bench, **source: Any) -> Manifest:
    manifest = at.deployment()
    manifest["spec"]["template"]["spec"]["volumes"] = [{"name": "files", **source}]
    return manifest


async def test_a_part_may_become_one_of_another_type(at: Bench) -> None:
    fence = at.fence()
    before = with_volume(at, emptyDir={})
    before["metadata"]["annotations"] = {"of": "the creation"}
    await at.cluster.apply(before, fence=fence)
    await at.hands.patch(at.path("web", "deployments"), {"metadata": {"annotations": {"by": "somebody"}}})
    later = at.fence(fence.subject, generation=2)
    wanted = with_volume(at, configMap={"name": "x"})
    assert await at.cluster.apply(wanted, fence=later, dry_run=True) is Applied.CHANGED
    assert await at.cluster.apply(wanted, fence=later) is Applied.CHANGED
    # Its controller may be faster with its own, so that a write is tried again.
    stamps = [stamp for _, stamp in later.asked]
    assert stamps == sorted(stamps, reverse=True), "the creation's fields are handed over first"
    assert set(stamps) == {True, False}
    found = await at.seen("web", DEPLOYMENT)
    (volume,) = found["spec"]["template"]["spec"]["volumes"]
    assert volume == {"name": "files", "configMap": {"name": "x", "defaultMode": 420}}
    assert found["metadata"]["annotations"]["by"] == "somebody"
    assert "of" not in found["metadata"]["annotations"]
    later.asked.clear()
    assert await at.cluster.apply(wanted, fence=later) is Applied.UNCHANGED
    assert later.asked == []


async def test_what_is_invalid_by_itself_is_refused_before_anything_is_handed_over(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(with_volume(at, emptyDir={}), fence=fence)
    fence.asked.clear()
    wrong = with_volume(at, emptyDir={}, configMap={"name": "x"})
    with pytest.raises(PermanentError, match="may not specify more than 1 volume type"):
        await at.cluster.apply(wrong, fence=fence)
    assert fence.asked == []


async def test_what_the_manifest_does_not_say_is_left_to_others(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(at.deployment(), fence=fence)
    await at.hands.patch(at.path("web", "deployments"), {"spec": {"replicas": 5}})
    newer = at.fence(fence.subject, generation=2)
    assert await at.cluster.apply(at.deployment(), fence=newer) is Applied.STAMPED
    changed = at.deployment(minReadySeconds=7)
    assert await at.cluster.apply(changed, fence=newer) is Applied.CHANGED
    assert (await at.seen("web", DEPLOYMENT))["spec"]["replicas"] == 5


@pytest.mark.parametrize("owner", ["nobody", "another agent", "another subject"])
async def test_what_is_foreign_stays_as_it_is(at: Bench, owner: str) -> None:
    fence = at.fence(generation=9)
    if owner == "nobody":
        await at.hands.call("POST", at.path("").rstrip("/"), at.config_map(a="theirs"))
    else:
        theirs = at.fence(fence.subject, owner_id="somebody-else") if owner == "another agent" else at.fence()
        await at.cluster.apply(at.config_map(a="theirs"), fence=theirs)
    written = len(at.relay.writes)
    for refused in (
        at.cluster.apply(at.config_map(), fence=fence),
        at.cluster.apply(at.config_map(), fence=fence, dry_run=True),
        at.cluster.delete(at.ref(), fence=fence),
    ):
        with pytest.raises(PermanentError, match=r"configmap/x belongs to .*; it was left untouched") as caught:
            await refused
        assert caught.value.reason is Reason.FOREIGN_OBJECT
    assert fence.asked == []
    assert len(at.relay.writes) == written
    assert (await at.seen())["data"] == {"a": "theirs"}


async def test_an_older_generation_loses(at: Bench) -> None:
    newer = at.fence(generation=5)
    await at.cluster.apply(at.config_map(), fence=newer)
    older = at.fence(newer.subject, generation=4)
    for late in (
        at.cluster.apply(at.config_map(a="2"), fence=older),
        at.cluster.apply(at.config_map(), fence=older),
        at.cluster.delete(at.ref(), fence=older),
    ):
        with pytest.raises(LeaseLost, match="carries generation 5; this is 4"):
            await late
    assert older.asked == []


async def test_a_lost_lease_writes_nothing(at: Bench) -> None:
    held = at.fence()
    await at.cluster.apply(at.config_map("there"), fence=held)
    written = len(at.relay.writes)
    lost = at.fence(held.subject, generation=2)
    lost.lost = True
    for refused in (
        at.cluster.apply(at.config_map("new"), fence=lost),
        at.cluster.apply(at.config_map("there"), fence=lost),
        at.cluster.apply(at.config_map("there", b="2"), fence=lost),
        at.cluster.delete(at.ref("there"), fence=lost),
    ):
        with pytest.raises(LeaseLost):
            await refused
    assert len(at.relay.writes) == written


async def test_a_dry_run_says_what_it_would_take_and_writes_nothing(at: Bench) -> None:
    fence = at.fence()
    assert await at.cluster.apply(at.config_map(), fence=fence, dry_run=True) is Applied.CREATED
    assert await at.cluster.get(at.ref()) is None
    await at.cluster.apply(at.config_map(a="1", b="1"), fence=fence)
    written = len(at.relay.writes)
    planned = at.fence(fence.subject, generation=2)
    assert await at.cluster.apply(at.config_map(a="1", b="1"), fence=fence, dry_run=True) is Applied.UNCHANGED
    assert await at.cluster.apply(at.config_map(a="1", b="1"), fence=planned, dry_run=True) is Applied.STAMPED
    assert await at.cluster.apply(at.config_map(a="1"), fence=planned, dry_run=True) is Applied.CHANGED
    assert await at.cluster.apply(at.config_map(a="2", b="1"), fence=planned, dry_run=True) is Applied.CHANGED
    assert len(at.relay.writes) == written
    assert planned.asked == []


async def test_a_dry_run_in_a_namespace_to_come(at: Bench) -> None:
    manifest = at.config_map()
    manifest["metadata"]["namespace"] = "not-there-yet"
    assert await at.cluster.apply(manifest, fence=at.fence(), dry_run=True) is Applied.CREATED


@pytest.mark.parametrize("dry_run", [True, False])
async def test_an_unknown_field_is_refused_by_name(at: Bench, dry_run: bool) -> None:
    fence = at.fence()
    wrong = at.deployment(replica=3)
    with pytest.raises(PermanentError, match=r"deployment/web.*replica\b") as caught:
        await at.cluster.apply(wrong, fence=fence, dry_run=dry_run)
    assert caught.value.reason is Reason.INVALID_REQUEST
    await at.cluster.apply(at.deployment(), fence=fence)
    with pytest.raises(PermanentError, match=r"deployment/web.*replica\b") as caught:
        await at.cluster.apply(wrong, fence=fence, dry_run=dry_run)
    assert caught.value.reason is Reason.INVALID_REQUEST


async def test_an_invalid_object_is_refused_with_the_causes(at: Bench) -> None:
    wrong = at.deployment()
    wrong["spec"]["template"]["metadata"]["labels"] = {"app": "another"}
    with pytest.raises(PermanentError, match=r"create on .*Invalid.*spec.template.metadata.labels") as caught:
        await at.cluster.apply(wrong, fence=at.fence())
    assert caught.value.reason is Reason.INVALID_REQUEST


async def test_a_name_that_would_lead_elsewhere_is_refused(at: Bench) -> None:
    for name in ("..", "a/b", ""):
        with pytest.raises(PermanentError, match="cannot be part of an object's path"):
            await at.cluster.apply(at.config_map(name), fence=at.fence())
    assert at.relay.writes == []


async def test_a_quota_that_is_used_up_is_told(at: Bench) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "limits", "namespace": at.namespace},
        "spec": {"hard": {"count/configmaps": "0"}},
    }
    await at.hands.call("POST", at.path("", "resourcequotas").rstrip("/"), quota)
    await at.hands.until(at.path("limits", "resourcequotas"), lambda found: "hard" in found.get("status", {}))
    with pytest.raises(PermanentError, match="exceeded quota: limits") as caught:
        await at.cluster.apply(at.config_map(), fence=at.fence())
    assert caught.value.reason is Reason.QUOTA_EXCEEDED


async def test_a_namespace_that_is_missing_is_waited_for(at: Bench) -> None:
    manifest = at.config_map()
    manifest["metadata"]["namespace"] = "not-there-yet"
    with pytest.raises(NotReady, match='not-there-yet/configmap/x has to wait: namespaces "not-there-yet" not found'):
        await at.cluster.apply(manifest, fence=at.fence())


async def test_a_namespace_that_goes_away_is_waited_for(at: Bench) -> None:
    held = at.config_map("held")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await at.hands.call("POST", at.path("").rstrip("/"), held)
    await at.hands.delete(f"/api/v1/namespaces/{at.namespace}")
    with pytest.raises(NotReady, match="because it is being terminated"):
        await at.cluster.apply(at.config_map(), fence=at.fence())
    await at.hands.patch(at.path("held"), {"metadata": {"finalizers": None}})


async def test_an_object_on_its_way_out_is_waited_for(at: Bench) -> None:
    fence = at.fence()
    manifest = at.config_map()
    manifest["metadata"]["finalizers"] = ["example.com/hold"]
    await at.cluster.apply(manifest, fence=fence)
    await at.hands.delete(at.path())
    written = len(at.relay.writes)
    with pytest.raises(NotReady, match=r"configmap/x is still being deleted; it waits for example.com/hold"):
        await at.cluster.apply(manifest, fence=fence)
    assert len(at.relay.writes) == written
    await at.hands.patch(at.path(), {"metadata": {"finalizers": None}})


async def test_a_kind_that_the_cluster_lacks_is_waited_for(at: Bench) -> None:
    manifest = {**at.config_map(), "apiVersion": "nothing.example.com/v1", "kind": "Widget"}
    with pytest.raises(NotReady, match=r"no kind Widget in nothing.example.com/v1"):
        await at.cluster.apply(manifest, fence=at.fence())


async def test_a_creation_whose_answer_is_lost_is_looked_up(at: Bench) -> None:
    at.relay.show(Fault(Where.AFTER, "POST", "/configmaps"))
    fence = at.fence()
    assert await at.cluster.apply(at.config_map(), fence=fence) is Applied.CREATED
    assert at.relay.count("POST") == 1
    assert fence.changed


async def test_a_creation_that_never_arrived_is_a_passing_fault(at: Bench) -> None:
    at.relay.show(Fault(Where.BEFORE, "POST", "/configmaps"))
    with pytest.raises(TransientError, match=r"kubernetes create on .*configmap/x"):
        await at.cluster.apply(at.config_map(), fence=at.fence())
    assert at.relay.count("POST") == 1


async def test_a_change_whose_answer_is_lost_is_looked_up(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(at.config_map(a="1"), fence=fence)
    newer = at.fence(fence.subject, generation=2)
    lost = at.relay.show(Fault(Where.AFTER, "PATCH", "force=true&timeout"))
    assert await at.cluster.apply(at.config_map(a="2"), fence=newer) is Applied.CHANGED
    assert lost.hits == 1
    assert len(at.relay.writes) == 2


async def test_a_stamp_whose_answer_is_lost_is_looked_up(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(at.config_map(), fence=fence)
    newer = at.fence(fence.subject, generation=2)
    lost = at.relay.show(Fault(Where.AFTER, "PATCH", "fieldManager=conveyor-agent&fieldValidation=Strict&timeout"))
    assert await at.cluster.apply(at.config_map(), fence=newer) is Applied.STAMPED
    assert lost.hits == 1
    assert len(at.relay.writes) == 2


async def test_a_change_that_never_arrived_is_a_passing_fault(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(at.config_map(a="1"), fence=fence)
    at.relay.show(Fault(Where.BEFORE, "PATCH", "force=true&timeout"))
    with pytest.raises(TransientError, match=r"kubernetes apply on .*configmap/x"):
        await at.cluster.apply(at.config_map(a="2"), fence=fence)
    assert (await at.seen())["data"] == {"a": "1"}


async def test_a_throttled_write_is_not_repeated_here(at: Bench) -> None:
    at.relay.show(Fault(Where.BEFORE, "POST", answer=_status(429, "TooManyRequests", {"Retry-After": "7"})))
    with pytest.raises(TransientError, match="TooManyRequests") as caught:
        await at.cluster.apply(at.config_map(), fence=at.fence())
    assert (caught.value.reason, caught.value.retry_after) == (Reason.THROTTLED, 7.0)
    assert at.relay.count("POST") == 1


async def test_a_write_may_take_what_is_left_of_the_lease_and_no_longer(at: Bench) -> None:
    at.relay.show(Fault(Where.AFTER, "POST", "/configmaps", hang=True))
    fence = at.fence()
    fence.lease_s = 0.2
    assert await at.cluster.apply(at.config_map(), fence=fence) is Applied.CREATED
    assert at.relay.writes[0].query["timeout"] == "200ms"
    assert at.counted("create", "unavailable") == 1


async def test_others_who_write_meanwhile_are_waited_out(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(at.config_map(a="1"), fence=fence)
    storm = at.relay.show(Fault(Where.THROUGH, "PATCH", "force=true&timeout", before=_Meddler(at).meddle, times=3))
    assert await at.cluster.apply(at.config_map(a="2"), fence=fence) is Applied.CHANGED
    assert storm.hits == 3
    assert (await at.seen())["data"] == {"a": "2", "theirs": "3"}


async def test_others_who_never_stop_writing_are_a_passing_fault(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(at.config_map(a="1"), fence=fence)
    at.relay.show(Fault(Where.THROUGH, "PATCH", "force=true&timeout", before=_Meddler(at).meddle, times=None))
    with pytest.raises(TransientError, match="changed by somebody else") as caught:
        await at.cluster.apply(at.config_map(a="2"), fence=fence)
    assert caught.value.reason is Reason.UNAVAILABLE
    assert (await at.seen())["data"]["a"] == "1"


async def test_an_object_that_is_replaced_meanwhile_is_not_written_to(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(at.config_map(a="1"), fence=fence)

    async def replace() -> None:
        await at.hands.delete(at.path())
        await at.hands.call("POST", at.path("").rstrip("/"), at.config_map(a="theirs"))

    at.relay.show(Fault(Where.THROUGH, "PATCH", "force=true&timeout", before=replace))
    with pytest.raises(PermanentError, match="left untouched"):
        await at.cluster.apply(at.config_map(a="2"), fence=fence)
    assert (await at.seen())["data"] == {"a": "theirs"}


async def test_an_object_that_a_newer_generation_claims_meanwhile_is_not_written_to(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(at.config_map(a="1"), fence=fence)
    newer = at.fence(fence.subject, generation=2)

    async def claim() -> None:
        await at.cluster.apply(at.config_map(a="1"), fence=newer)

    at.relay.show(Fault(Where.THROUGH, "PATCH", "force=true&timeout", before=claim))
    with pytest.raises(LeaseLost, match="carries generation 2; this is 1"):
        await at.cluster.apply(at.config_map(a="late"), fence=fence)
    assert (await at.seen())["data"] == {"a": "1"}
    newest = at.fence(fence.subject, generation=3)

    async def claim_again() -> None:
        await at.cluster.apply(at.config_map(a="1"), fence=newest)

    at.relay.show(Fault(Where.THROUGH, "DELETE", before=claim_again))
    with pytest.raises(LeaseLost, match="carries generation 3; this is 2"):
        await at.cluster.delete(at.ref(), fence=newer)
    assert await at.cluster.get(at.ref()) is not None


async def test_an_object_that_goes_meanwhile_is_created_anew(at: Bench) -> None:
    fence = at.fence()
    await at.cluster.apply(at.config_map(a="1"), fence=fence)

    async def remove() -> None:
        await at.hands.delete(at.path())

    at.relay.show(Fault(Where.THROUGH, "PATCH", "force=true&timeout", before=remove))
    assert await at.cluster.apply(at.config_map(a="2"), fence=fence) is Applied.CREATED


async def test_one_of_two_creators_wins_and_the_other_sees_whose_it_is(at: Bench) -> None:
    fence, other = at.fence(), at.fence(new_subject("environment"))

    async def be_first() -> None:
        await at.cluster.apply(at.config_map(a="first"), fence=other)

    at.relay.show(Fault(Where.THROUGH, "POST", "/configmaps", before=be_first))
    with pytest.raises(PermanentError, match="left untouched"):
        await at.cluster.apply(at.config_map(a="second"), fence=fence)
    assert (await at.seen())["data"] == {"a": "first"}


@pytest.mark.parametrize("kind", NAMES)
async def test_every_kind_comes_to_rest(at: Bench, kind: str) -> None:
    manifest = manifest_of(kind, at.namespace)
    first = at.fence()
    assert await at.cluster.apply(manifest, fence=first) is Applied.CREATED
    assert await at.cluster.apply(manifest, fence=first) is Applied.UNCHANGED
    second = at.fence(first.subject, generation=2)
    assert await at.cluster.apply(manifest, fence=second) is Applied.STAMPED
    assert await at.cluster.apply(manifest, fence=second) is Applied.UNCHANGED
    third = at.fence(first.subject, generation=3)
    manifest["metadata"]["annotations"] = {"example.com/another": "b"}
    assert await at.cluster.apply(manifest, fence=third) is Applied.CHANGED
    assert await at.cluster.apply(manifest, fence=third) is Applied.UNCHANGED
    found = await at.cluster.get(ObjectRef.of(manifest))
    assert found is not None
    annotations = found["metadata"]["annotations"]
    assert annotations["example.com/another"] == "b"
    assert "example.com/note" not in annotations
    fourth = at.fence(first.subject, generation=4)
    assert await at.cluster.apply(manifest, fence=fourth) is Applied.STAMPED
    assert (second.changed, third.changed, fourth.changed) == (False, True, False)
    with suppress(NotReady):
        await at.cluster.delete(ObjectRef.of(manifest), fence=fourth)


class _Meddler:
    """Somebody who writes to the object right before the agent does."""

    def __init__(self, at: Bench) -> None:
        self._at = at
        self._number = 0

    async def meddle(self) -> None:
        self._number += 1
        await self._at.hands.patch(self._at.path(), {"data": {"theirs": str(self._number)}})


def _status(code: int, reason: str, headers: dict[str, str]) -> tuple[int, dict[str, str], Any]:
    said = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "code": code}
    return code, headers, said
