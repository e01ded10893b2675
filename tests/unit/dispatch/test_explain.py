"""Why an event is done, or is not, at every stage of its way."""

import asyncio

from agentd.core import Context, Hold, NotReady, PermanentError, Reason, TransientError, handler
from agentd.dispatch import Answer, explain
from agentd.events import ProjectCreate
from tests.unit.dispatch.events import create, delivery, key, project, uuid
from tests.unit.dispatch.world import Replica, World

UNSENT = "; its report waits to be sent"  # for ever, as nobody takes it out of the ledger's outbox here


@handler(ProjectCreate, steps=("work",), timeout_s=60)
async def create_project(ctx: Context, data: ProjectCreate) -> None:
    """Does as the project's name says."""
    name = data.project_name

    async def work() -> None:
        if name == "denied":
            raise PermanentError(Reason.ACCESS_DENIED, "no right to do it")
        if name == "waits":
            raise NotReady("the other project is not there")
        if name == "throttled":
            raise TransientError(Reason.THROTTLED, "slow down", retry_after=40)
        await asyncio.sleep(10)
        await ctx.fence.before_write("repository/one")

    await ctx.step("work", work)


async def says(replica: Replica, text: str) -> str:
    """The verdict on the newest event that the text names."""
    return (await explain(replica.ledger, text, now=replica.runtime.now())).events[0].verdict


async def test_every_stage_has_its_sentence(world: World) -> None:
    replica = await world.replica(create_project)
    assert await explain(replica.ledger, uuid(1), now=replica.runtime.now()) == Answer([], [], [])
    first = replica.begin(delivery(create(1)))
    second = replica.begin(delivery(create(2, generation=2), message_id="m-2"))
    await replica.runtime.sleep(4)
    assert await says(replica, uuid(1)) == "is being worked on by replica a, attempt 1"
    assert await says(replica, uuid(2)) == f"waits behind {key(1)}, which replica a is working on"
    await first
    await second
    assert await says(replica, key(1)) == "succeeded after 1 attempt with changes" + UNSENT

    await replica.handle(delivery(create(3, of=3, name="waits"), message_id="m-3", at_s=replica.runtime.monotonic()))
    waits = "waits (waiting): the other project is not there; it is"
    assert await says(replica, uuid(3)) == f"{waits} looked at again in 1 s"
    await replica.runtime.sleep(5)
    assert await says(replica, uuid(3)) == f"{waits} due with the next delivery"
    await replica.handle(delivery(create(4, of=4, name="throttled"), message_id="m-4"))
    assert await says(replica, uuid(4)) == "waits (retry): attempt 1: slow down; it is looked at again in 40 s"

    await replica.handle(delivery(create(5, of=5, name="denied"), message_id="m-5"))
    failed = "failed (access_denied) after 1 attempt with nothing to change, at step 'work': no right to do it"
    assert await says(replica, str(project(5))) == f"{failed} [{Reason.ACCESS_DENIED.help}]{UNSENT}"
    await replica.handle(delivery("nonsense", message_id="m-6"))
    assert (await says(replica, "m-6")).startswith("rejected (malformed) with nothing to change: $: no JSON")


async def test_an_explanation_has_the_whole_story(world: World) -> None:
    replica = await world.replica(create_project)
    await replica.handle(delivery(create(1)))
    answer = await explain(replica.ledger, str(project(1)), now=replica.runtime.now())
    (found,) = answer.events
    assert [transition.what for transition in found.transitions] == ["admitted", "claimed", "finished"]
    assert (found.record.key, found.steps, found.hold, found.unblock) == (key(1), [], None, "")
    (subject,) = answer.subjects
    assert (subject.subject, subject.facets) == (str(project(1)), {"config": 1, "spec": 1})
    assert answer.notices == []


async def test_a_subject_is_told_of_once_however_many_events_it_has(world: World) -> None:
    replica = await world.replica(create_project)
    for generation in (1, 2, 3):
        at_s = replica.runtime.monotonic()
        await replica.handle(
            delivery(create(generation, generation=generation), message_id=f"m-{generation}", at_s=at_s)
        )
    for text in (str(project(1)), uuid(2)):
        answer = await explain(replica.ledger, text, now=replica.runtime.now())
        assert [subject.subject for subject in answer.subjects] == [str(project(1))]
    answer = await explain(replica.ledger, str(project(1)), now=replica.runtime.now())
    assert [event.record.generation for event in answer.events] == [3, 2, 1], "the newest first"
    assert (await explain(replica.ledger, str(project(9)), now=replica.runtime.now())).subjects == []


async def test_a_crash_is_told_apart_from_a_wait(world: World) -> None:
    away = await world.replica(create_project)
    away.begin(delivery(create(1)))
    await away.runtime.sleep(1)
    await away.crash()
    replica = await world.replica(create_project, name="b")
    assert await says(replica, uuid(1)) == "is being worked on by replica a, attempt 1"
    await replica.runtime.sleep(32)
    assert await says(replica, uuid(1)) == "attempt 1 ended without a word; the next delivery of the message goes on"
    await replica.runtime.sleep(1200)
    (found,) = (await explain(replica.ledger, uuid(1), now=replica.runtime.now())).events
    assert found.verdict == "attempt 1 ended without a word; it has been due for 21 min and was not delivered"
    assert found.unblock.startswith("No replica has received it since.")


async def test_a_wait_that_nobody_ends_says_so(world: World) -> None:
    replica = await world.replica(create_project)
    await replica.handle(delivery(create(1, name="waits")))
    await replica.runtime.sleep(3 * 3600)
    (found,) = (await explain(replica.ledger, uuid(1), now=replica.runtime.now())).events
    assert found.verdict == (
        "waits (waiting): the other project is not there; it has been due for 3 h and was not delivered"
    )
    assert found.hold is Hold.WAITING
    assert found.unblock.startswith("No replica has received it since.")


async def test_a_report_that_waits_is_told(world: World) -> None:
    replica = await world.replica(create_project)
    await replica.handle(delivery(create(1)))
    assert await says(replica, uuid(1)) == "succeeded after 1 attempt with changes" + UNSENT
    await replica.ledger.sent([entry.report_id for entry in await replica.ledger.outbox(10)])
    assert await says(replica, uuid(1)) == "succeeded after 1 attempt with changes"
