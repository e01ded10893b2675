"""How checks are carried out: side by side, each within its deadline, and never without a finding."""

import asyncio
from collections.abc import Sequence

import pytest

from agentd.cli.doctor.findings import Area, Finding, Status, ok, warned
from agentd.cli.doctor.once import Once
from agentd.cli.doctor.run import Check, Look
from agentd.cli.doctor.shown import counts
from agentd.cli.doctor.site import Site
from agentd.core import PermanentError, Reason, TransientError
from tests.unit.cli.doctor.rig import examined

GONE = TransientError(Reason.UNAVAILABLE, "GetThing on thing: no answer in time")


async def fine(_site: Site) -> Sequence[Finding]:
    return [ok("queues.a", "good")]


async def hangs(_site: Site) -> Sequence[Finding]:
    await asyncio.Event().wait()
    return []


async def fails(_site: Site) -> Sequence[Finding]:
    raise GONE


async def fails_in_a_group(_site: Site) -> Sequence[Finding]:
    async def fail() -> None:
        raise GONE

    async with asyncio.TaskGroup() as group:
        group.create_task(fail())
    return []


async def has_a_defect(_site: Site) -> Sequence[Finding]:
    raise KeyError("surprise")


async def tells_a_secret(_site: Site) -> Sequence[Finding]:
    return [warned("queues.a", "reached with password=hunter2", "see https://me:hunter2@host/")]


def check(look: Look, *names: str) -> Check:
    """A check under the names, or under one that does not matter."""
    return Check(names or ("queues.a",), look, "do this")


async def test_findings_come_in_the_order_of_the_checks() -> None:
    found = await examined(check(fails, "queues.b"), check(fine))
    assert [(finding.check, finding.status) for finding in found] == [
        ("queues.b", Status.FAILED),
        ("queues.a", Status.OK),
    ]


@pytest.mark.parametrize("look", [fails, fails_in_a_group])
async def test_what_cannot_be_looked_at_has_failed_and_what_depends_on_it_is_skipped(look: Look) -> None:
    first, second = await examined(check(look, "queues.a", "queues.b"))
    assert first == Finding("queues.a", Status.FAILED, GONE.message, "do this")
    assert (second.check, second.status) == ("queues.b", Status.SKIPPED)
    assert "queues.a" in second.mend


async def test_a_check_that_hangs_is_given_up_at_the_deadline_and_holds_up_no_other() -> None:
    found = await examined(check(hangs, "queues.b"), check(fine), deadline_s=7.0)
    assert [(finding.status, finding.found) for finding in found] == [
        (Status.FAILED, "no answer within 7 s"),
        (Status.OK, "good"),
    ]


async def test_a_defect_of_a_check_is_told_and_holds_up_no_other() -> None:
    broken, good = await examined(check(has_a_defect, "queues.b"), check(fine))
    assert broken.status is Status.FAILED
    assert "KeyError" in broken.found
    assert good.status is Status.OK


async def test_secrets_are_not_told() -> None:
    (found,) = await examined(check(tells_a_secret))
    assert "hunter2" not in found.found + found.mend


async def test_a_right_that_the_doctor_alone_would_need_is_no_failure_when_it_is_missing() -> None:
    async def denied(_site: Site) -> Sequence[Finding]:
        raise PermanentError(Reason.ACCESS_DENIED, "GetPolicy: not allowed")

    names = ("queues.a", "queues.b")
    found = await examined(Check(names, denied, "allow it", for_the_doctor_alone=True))
    assert found == [Finding(name, Status.SKIPPED, "GetPolicy: not allowed", "allow it") for name in names]
    first, _ = await examined(Check(names, denied, "allow it"))
    assert first.status is Status.FAILED
    (gone,) = await examined(Check(("queues.a",), fails, "allow it", for_the_doctor_alone=True))
    assert gone.status is Status.FAILED


def test_what_is_not_ok_says_how_to_mend_it() -> None:
    with pytest.raises(ValueError, match=r"queues\.a"):
        Finding("queues.a", Status.FAILED, "broken")
    with pytest.raises(ValueError, match=r"queues\.a"):
        Finding("queues.a", Status.OK, "good", "do nothing")
    assert ok("queues.commands.order", "good").area is Area.QUEUES


def test_every_status_is_counted() -> None:
    assert counts([ok("aws.a", "good")]) == {"ok": 1, "skipped": 0, "warning": 0, "failed": 0}


async def test_what_several_checks_need_is_made_once() -> None:
    made = 0

    async def make() -> int:
        nonlocal made
        made += 1
        await asyncio.sleep(0)
        return made

    once = Once(make)
    assert set(await asyncio.gather(once(), once(), once())) == {1}


async def test_what_cannot_be_made_is_tried_once_and_told_to_all() -> None:
    tries = 0

    async def make() -> int:
        nonlocal tries
        tries += 1
        raise PermanentError(Reason.ACCESS_DENIED, "no")

    once = Once(make)
    for _ in range(2):
        with pytest.raises(PermanentError, match="no"):
            await once()
    assert tries == 1


async def test_who_gives_up_leaves_the_making_to_the_next() -> None:
    first = asyncio.Event()

    async def make() -> str:
        if not first.is_set():
            first.set()
            await asyncio.Event().wait()
        return "made"

    once = Once(make)
    task = asyncio.create_task(once())
    await first.wait()
    task.cancel()
    assert await once() == "made"
