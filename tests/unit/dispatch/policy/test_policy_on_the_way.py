"""The policy on the way of an event: asked before the first attempt, and not after that."""

import json
from collections.abc import Callable

import pytest

from agentd.core import Context, DeadLetter, Defer, Delete, Disposition, OutcomeKind, Reason, TransientError, handler
from agentd.dispatch.policy import Decision, Gate, Policy, approve
from agentd.events import (
    Event,
    KeySet,
    ProjectCreate,
    ProjectDelete,
    SignaturesConfig,
    SigningKey,
    Verifier,
    Verify,
    accept_unsigned,
    new_signing_key,
    public_jwk,
    sign,
)
from tests.unit.dispatch.events import create, delete, delivery, key, when
from tests.unit.dispatch.policy.audit import RecordingAudit
from tests.unit.dispatch.policy.policies import policy
from tests.unit.dispatch.world import Replica, World
from tests.virtual_time import START

DAY_S = 86400.0
# START is a Tuesday, 22:13:20 UTC.
WEEKEND = "windows: [{days: [sat, sun]}]"


class Installation:
    """A replica with a policy, and what its handlers have done."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.faults = 0
        self.rules: Policy = policy("- {name: all, effect: allow}", zone="UTC")
        self.replica: Replica

    async def begin(self, world: World, verify: Verify = accept_unsigned) -> Replica:
        """At work."""

        @handler(ProjectCreate, steps=(), timeout_s=60)
        async def make(_ctx: Context, data: ProjectCreate) -> None:
            if self.faults:
                self.faults -= 1
                raise TransientError(Reason.UNAVAILABLE, "not now")
            self.done.append(f"create {data.project_name}")

        @handler(ProjectDelete, steps=(), timeout_s=60)
        async def remove(_ctx: Context, data: ProjectDelete) -> None:
            self.done.append(f"delete {data.project_name}")

        async def judge(event: Event, key_id: str | None) -> Decision:
            return await gate.judge(event, key_id)

        self.replica = await world.replica(make, remove, judge=judge, verify=verify)
        gate = Gate(
            lambda: self.rules, self.replica.ledger, self.replica.runtime, self.replica.metrics, RecordingAudit()
        )
        return self.replica

    async def deliver(self, text: str) -> Disposition:
        """One delivery."""
        return await self.replica.handle(delivery(text))


@pytest.fixture
def site() -> Installation:
    """An installation."""
    return Installation()


async def test_a_refused_event_is_rejected_and_names_the_rule(world: World, site: Installation) -> None:
    replica = await site.begin(world)
    site.rules = policy("- {name: frozen, effect: refuse, projects: [project-*], why: not this month}", zone="UTC")
    disposition = await site.deliver(create(1))
    assert isinstance(disposition, DeadLetter)
    assert (disposition.reason, disposition.message) == (Reason.POLICY_REFUSED, "rule frozen: not this month")
    (report,) = replica.outlet.reports
    assert (report.key, report.attempts, report.started_at) == (key(1), 0, None)
    assert site.done == []
    assert await site.deliver(create(1)) == disposition


async def test_an_event_waits_for_its_window_and_says_so(world: World, site: Installation) -> None:
    replica = await site.begin(world)
    site.rules = policy(f"- {{name: weekend, effect: allow, {WEEKEND}}}", zone="UTC")
    assert isinstance(await site.deliver(create(1)), Defer)
    record = await replica.record(key(1))
    assert record.waiting is not None
    assert record.waiting.why == "window"
    assert record.waiting.message == "rule weekend: its window opens 2023-11-18 00:00+00:00"
    # Three days are longer than what an event may wait for without an expirytime, but for the customer's own sake.
    replica.clock.ahead_s = 3 * DAY_S
    assert isinstance(await site.deliver(create(1)), Defer)
    assert site.done == []
    replica.clock.ahead_s = 4 * DAY_S
    assert await site.deliver(create(1)) == Delete()
    assert site.done == ["create project-1"]


async def test_it_waits_no_longer_than_it_is_wanted(world: World, site: Installation) -> None:
    replica = await site.begin(world)
    site.rules = policy(f"- {{name: weekend, effect: allow, {WEEKEND}}}", zone="UTC")
    text = create(1, expirytime=when(DAY_S))
    assert isinstance(await site.deliver(text), Defer)
    replica.clock.ahead_s = DAY_S
    assert isinstance(await site.deliver(text), DeadLetter)
    (outcome,) = replica.outlet.outcomes()
    assert outcome is not None
    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, Reason.DEFERRED_TOO_LONG)


async def test_what_has_begun_goes_on(world: World, site: Installation) -> None:
    replica = await site.begin(world)
    site.faults = 1
    given = await replica.to_the_end(delivery(create(1)))
    assert (len(given), site.done) == (2, ["create project-1"])
    site.faults = 1
    first = await replica.handle(delivery(create(2, of=2), message_id="2"))
    site.rules = policy("- {name: none, effect: refuse}", zone="UTC")
    assert not isinstance(first, DeadLetter)
    assert (await replica.to_the_end(delivery(create(2, of=2), message_id="2")))[-1] == Delete()
    assert site.done == ["create project-1", "create project-2"]


async def test_a_delete_goes_on_when_a_second_person_has_approved_it(world: World, site: Installation) -> None:
    replica = await site.begin(world)
    site.rules = policy("- {name: deletes, effect: allow, approval: required}", zone="UTC")
    text = delete(1, actor="ann")
    assert isinstance(await site.deliver(text), Defer)
    record = await replica.record(key(1))
    await approve(replica.ledger, record, actor="ann", by="bob", note="", now=START, valid_s=DAY_S)
    assert await site.deliver(text) == Delete()
    assert site.done == ["delete project-1"]


async def test_a_redrive_is_judged_by_the_policy_of_its_day(world: World, site: Installation) -> None:
    replica = await site.begin(world)
    site.rules = policy("- {name: frozen, effect: refuse}", zone="UTC")
    refused = await site.deliver(create(1))
    assert isinstance(refused, DeadLetter)
    again = delivery(create(1), message_id="2", dead_letter_epoch=1)
    still = await replica.handle(again)
    assert isinstance(still, DeadLetter)
    assert still.epoch == 2
    site.rules = policy("- {name: thawed, effect: allow}", zone="UTC")
    assert await replica.handle(delivery(create(1), message_id="3", dead_letter_epoch=2)) == Delete()
    assert site.done == ["create project-1"]


async def test_rules_know_which_key_signed(world: World, site: Installation) -> None:
    signer, other = new_signing_key("signer"), new_signing_key("other")
    replica = await site.begin(world, verify=_verify(signer, other))
    site.rules = policy("- {name: signer, effect: allow, keys: [signer]}", zone="UTC")
    assert await replica.handle(delivery(sign(create(1), signer), message_id="1")) == Delete()
    assert isinstance(await replica.handle(delivery(sign(create(2, of=2), other), message_id="2")), DeadLetter)
    assert site.done == ["create project-1"]


async def test_what_was_believed_once_goes_on_without_its_key(world: World, site: Installation) -> None:
    """A key that is taken away stops what is new; an open event does not stay without an end."""
    old, new = new_signing_key("old"), new_signing_key("new")
    known = [_verify(old)]

    def verify(event: Event) -> str | None:
        return known[0](event)

    replica = await site.begin(world, verify=verify)
    text = sign(create(1), old)
    site.faults = 1
    await site.deliver(text)
    known[0] = _verify(new)
    assert (await replica.to_the_end(delivery(text)))[-1] == Delete()
    late = await replica.handle(delivery(sign(create(2, of=2), old), message_id="2"))
    assert isinstance(late, DeadLetter)
    assert (late.key, late.reason) == ("message/2", Reason.BAD_SIGNATURE)
    other_content = await replica.handle(delivery(sign(create(1, generation=2), old), message_id="3"))
    assert isinstance(other_content, DeadLetter)
    assert (other_content.key, other_content.reason) == ("message/3", Reason.BAD_SIGNATURE)
    assert site.done == ["create project-1"]


def _verify(*keys: SigningKey) -> Callable[[Event], str | None]:
    key_set = KeySet.parse(json.dumps({"keys": [public_jwk(known) for known in keys]}).encode())
    return Verifier(SignaturesConfig.model_validate({"keys_file": "/k"}), lambda: key_set, lambda: START)
