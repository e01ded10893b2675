"""The gate on a real ledger: approvals and quotas, over replicas."""

import asyncio

import pytest

from agentd.core import AuditKind
from agentd.dispatch.admission import admission_of
from agentd.dispatch.policy import Allow, Approval, Gate, Policy, Refuse, Wait, approval_of, approve, forget_expired
from agentd.dispatch.policy.counting import MOST_COUNTED, Count, Full, name_of, take
from agentd.events import decode
from agentd.ledger import Record
from tests.unit.dispatch.events import create, delete, key, uuid
from tests.unit.dispatch.policy.audit import RecordingAudit
from tests.unit.dispatch.policy.policies import policy
from tests.unit.dispatch.world import Replica, World
from tests.virtual_time import START

DAY_S = 86400.0


def _gate(replica: Replica, rules: Policy, audit: RecordingAudit | None = None) -> Gate:
    return Gate(lambda: rules, replica.ledger, replica.runtime, replica.metrics, audit or RecordingAudit())


async def _admitted(replica: Replica, text: str) -> Record:
    """The record of an event that the ledger knows, as the dispatcher writes it before it puts the event off."""
    return await replica.ledger.admit(admission_of(decode(text), now=replica.runtime.now()))


async def test_what_asks_nothing_of_the_ledger_is_decided_without_it(world: World) -> None:
    replica = await world.replica()
    gate = _gate(replica, policy("- {name: all, effect: allow, actors: [ann]}"))
    await replica.ledger.close()
    assert await gate.judge(decode(create(1, actor="ann")), None) == Allow("all")
    assert isinstance(await gate.judge(decode(create(1)), None), Refuse)
    assert replica.count("policy_decisions_total", decision="allow") == 1
    assert replica.count("policy_decisions_total", decision="refuse") == 1


async def test_an_approved_event_is_let_in_and_the_audit_log_says_by_whom(world: World) -> None:
    replica, audit = await world.replica(), RecordingAudit()
    gate = _gate(replica, policy("- {name: deletes, effect: allow, approval: required}"), audit)
    event = decode(delete(1, actor="ann"))
    record = await _admitted(replica, event.text)
    assert isinstance(await gate.judge(event, None), Wait)
    given = await approve(
        replica.ledger, record, actor="ann", by="bob", note="seen", now=replica.runtime.now(), valid_s=60
    )
    assert given == Approval(event.digest, "bob", START, START + 60, "seen")
    assert await approval_of(replica.ledger, uuid(1)) == given
    assert await gate.judge(event, None) == Allow("deletes")
    assert audit.entries == [
        (
            AuditKind.CONTROL,
            {
                "what": "event.approved",
                "event_id": uuid(1),
                "digest": event.digest,
                "by": "bob",
                "at": START,
                "expires_at": START + 60,
                "note": "seen",
            },
        )
    ]
    other = decode(delete(1, actor="ann", generation=2))
    assert isinstance(await gate.judge(other, None), Wait)
    replica.clock.ahead_s = 60
    assert isinstance(await gate.judge(event, None), Wait)


async def test_an_approval_can_be_given_again_but_not_by_the_actor(world: World) -> None:
    replica = await world.replica()
    record = await _admitted(replica, delete(1, actor="ann"))
    with pytest.raises(ValueError, match="Ann asked for it"):
        await approve(replica.ledger, record, actor="ann", by="Ann", note="", now=START, valid_s=60)
    assert await approval_of(replica.ledger, uuid(1)) is None
    for by in ("bob", "eve"):
        await approve(replica.ledger, record, actor="ann", by=by, note="", now=START, valid_s=60)
        found = await approval_of(replica.ledger, uuid(1))
        assert found is not None
        assert found.by == by


async def test_expired_approvals_are_forgotten(world: World) -> None:
    replica = await world.replica()
    for number, valid_s in ((1, 60), (2, 120)):
        record = await _admitted(replica, delete(number, of=number))
        await approve(replica.ledger, record, actor=None, by="bob", note="", now=START, valid_s=valid_s)
    assert await forget_expired(replica.ledger, now=START + 60) == 1
    assert await approval_of(replica.ledger, uuid(1)) is None
    assert await approval_of(replica.ledger, uuid(2)) is not None


async def test_a_quota_counts_each_event_once_over_all_replicas(world: World) -> None:
    rules = policy("- {name: few, effect: allow, quota: {events: 3, window_s: 3600}}")
    gates = [_gate(await world.replica(name=name), rules) for name in ("a", "b")]
    events = [decode(create(number, of=number)) for number in range(1, 9)]
    decisions = await asyncio.gather(*(gate.judge(event, None) for event in events for gate in gates))
    by_event = [set(map(type, decisions[start : start + 2])) for start in range(0, len(decisions), 2)]
    # Whoever was let in by one replica is by the other too.
    assert sorted(map(str, by_event)) == sorted(map(str, [{Allow}] * 3 + [{Wait}] * 5))


async def test_a_quota_has_room_again_when_its_time_has_passed(world: World) -> None:
    replica = await world.replica()
    gate = _gate(replica, policy("- {name: few, effect: allow, quota: {events: 2, window_s: 3600}, otherwise: wait}"))
    first, second, third = (decode(create(number, of=number)) for number in (1, 2, 3))
    assert await gate.judge(first, None) == Allow("few")
    replica.clock.ahead_s = 600
    assert await gate.judge(second, None) == Allow("few")
    full = await gate.judge(third, None)
    assert isinstance(full, Wait)
    assert full.until == START + 3600
    assert await gate.judge(first, None) == Allow("few")
    replica.clock.ahead_s = 3600
    assert await gate.judge(third, None) == Allow("few")
    assert isinstance(await gate.judge(first, None), Wait)


async def test_the_largest_quota_fits_into_the_ledger(world: World) -> None:
    replica = await world.replica()
    count = Count()
    for number in range(MOST_COUNTED):
        count, full = take(count, name_of(uuid(number)), limit=MOST_COUNTED, window_s=60, now=START)
        assert full is None
    assert take(count, name_of("one more"), limit=MOST_COUNTED, window_s=60, now=START) == (count, Full(START + 60))
    assert await replica.ledger.set_variable("quota/most", count.json(), version=None)


async def test_a_policy_is_exchanged_between_two_events(world: World) -> None:
    replica = await world.replica()
    in_force = [policy("- {name: old, effect: allow}")]
    gate = Gate(lambda: in_force[0], replica.ledger, replica.runtime, replica.metrics, RecordingAudit())
    assert await gate.judge(decode(create(1)), None) == Allow("old")
    in_force[0] = policy("- {name: new, effect: refuse}")
    assert isinstance(await gate.judge(decode(create(1)), None), Refuse)
    assert key(1) == decode(create(1)).key
