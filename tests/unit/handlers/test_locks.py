"""The lock of an environment: a Lease that others take while they work on it."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from agentd.core import NotReady, PermanentError, Reason
from handlers.manifests.kinds import LEASE
from tests.unit.handlers.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = 1_800_000_000.0


def path(at: World) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{at.name}/leases/conveyor-environment"


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def take(at: World, renewed_at: float, holder: str = "terraform-17") -> Any:
    """Take the lock, as whoever works on the environment beside the agent does."""
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 60, "renewTime": moment(renewed_at)}
    return await at.hands.patch(path(at), {"spec": spec})


async def holder(at: World) -> str | None:
    lease = await at.seen(LEASE, "conveyor-environment")
    found: str | None = (lease.get("spec") or {}).get("holderIdentity")
    return found


async def locked(at: World, renewed_at: float) -> None:
    """An environment that somebody has locked."""
    at.control.clock = lambda: NOW
    await at.run(at.create())
    await take(at, renewed_at)
    await at.writes()


async def test_while_somebody_holds_the_lock_nothing_is_changed(at: World) -> None:
    await locked(at, NOW - 10)
    for data in (at.create(), at.update(), at.deploy(), at.hibernate(), at.wake(), at.delete()):
        with pytest.raises(NotReady, match="is locked by terraform-17 until 2027-01-15T08:00:50Z") as caught:
            await at.run(data, 2)
        assert caught.value.retry_after == 50.0
    assert await at.writes() == Counter()


async def test_a_dead_holders_lock_waits_for_unlock(at: World) -> None:
    await locked(at, NOW - 3600)
    with pytest.raises(NotReady, match=r"terraform-17, who has not renewed .* send environment\.unlock"):
        await at.run(at.update(), 2)
    fence = await at.run(at.unlock(), 3)
    assert fence.changed
    assert await holder(at) is None
    await at.run(at.update(), 2)


async def test_a_lock_that_was_taken_between_two_attempts_counts(at: World) -> None:
    at.control.clock = lambda: NOW
    await at.run(at.create())
    data = at.update()
    context = at.begin(data, 2)
    await at.resume(data, context)
    del context.journal["remove leftovers"]
    await take(at, NOW)
    with pytest.raises(NotReady, match="is locked by terraform-17"):
        await at.resume(data, context)


async def test_a_live_holders_lock_is_not_broken(at: World) -> None:
    await locked(at, NOW - 30)
    with pytest.raises(PermanentError, match=r"held by terraform-17.*2027-01-15T08:00:30Z") as caught:
        await at.run(at.unlock())
    assert caught.value.reason is Reason.IN_USE
    assert await holder(at) == "terraform-17"
    assert await at.writes() == Counter()


async def test_unlocking_what_is_not_locked_is_success(at: World) -> None:
    await at.run(at.create())
    await at.writes()
    fence = await at.run(at.unlock())
    assert fence.asked == []
    assert await at.writes() == Counter()


async def test_unlocking_what_is_not_there_is_success(at: World) -> None:
    fence = await at.run(at.unlock())
    assert fence.asked == []
    assert await at.namespace() is None


async def test_who_comes_back_from_the_dead_meets_a_conflict(at: World) -> None:
    await locked(at, NOW - 3600)
    remembered = await at.hands.get(path(at))
    await at.run(at.unlock())
    remembered["spec"]["renewTime"] = moment(NOW)
    with pytest.raises(Exception, match="409"):
        await at.hands.call("PUT", path(at), remembered)


async def test_a_crash_in_the_middle_of_unlocking_is_made_good(at: World) -> None:
    await locked(at, NOW - 3600)
    await at.hands.delete(path(at))  # the first half
    await at.run(at.unlock())
    assert await holder(at) is None


async def test_who_lets_go_leaves_the_lock_free(at: World) -> None:
    await locked(at, NOW)
    await at.hands.patch(path(at), {"spec": {"holderIdentity": "", "renewTime": None}})
    await at.run(at.update(), 2)
    lease = await at.seen(LEASE, "conveyor-environment")
    assert lease["spec"]["leaseDurationSeconds"] == 60  # the agent's applies leave alone what others have set


async def test_a_lock_that_somebody_else_has_made_is_foreign(at: World) -> None:
    at.control.clock = lambda: NOW
    await at.run(at.create())
    await at.hands.delete(path(at))
    theirs = {"metadata": {"name": "conveyor-environment"}, "spec": {"holderIdentity": ""}}
    await at.hands.call("POST", path(at).rpartition("/")[0], theirs)
    with pytest.raises(PermanentError) as caught:
        await at.run(at.update(), 2)
    assert caught.value.reason is Reason.FOREIGN_OBJECT
