"""When the reports queue, the ledger or the artifact store does not do its part."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agentd.core import (
    ArtifactStore,
    Context,
    DeadLetter,
    Defer,
    Delete,
    OutcomeKind,
    PermanentError,
    Reason,
    Retry,
    TransientError,
    handler,
)
from agentd.events import ProjectCreate
from agentd.platform.local.artifacts import FileArtifacts
from tests.unit.dispatch.events import create, delivery, event, key, project, uuid
from tests.unit.dispatch.world import World


@handler(ProjectCreate, steps=(), timeout_s=60)
async def create_project(_ctx: Context, _data: ProjectCreate) -> None:
    """Nothing to do."""


# -- reports -----------------------------------------------------------------------------------------------------------


async def test_a_report_that_is_not_taken_in_time_is_repeated_by_a_later_delivery(world: World) -> None:
    replica = await world.replica(create_project)
    replica.outlet.taking.clear()
    assert await replica.handle(delivery(create(1))) == Defer(300)
    assert replica.runtime.monotonic() == pytest.approx(30)
    assert (await replica.record(key(1))).outcome is not None
    assert (await replica.ledger.stats()).outbox == 1
    assert replica.outlet.reports == []
    replica.outlet.taking.set()
    assert await replica.handle(delivery(create(1), receive_count=2)) == Delete()
    assert [report.key for report in replica.outlet.reports] == [key(1)]


async def test_whoever_waits_for_a_report_holds_up_nobody(world: World) -> None:
    replica = await world.replica(create_project, max_running=1)
    replica.outlet.taking.clear()
    for number, of, generation in ((1, 1, 1), (2, 1, 2), (3, 2, 1)):
        replica.begin(delivery(create(number, of=of, generation=generation), message_id=f"m-{number}"))
    await replica.runtime.sleep(0.1)
    for number in (1, 2, 3):
        assert (await replica.record(key(number))).outcome is not None
    assert await replica.leases() == 0
    assert replica.dispatcher.status() == []


async def test_an_event_for_somebody_else_does_not_hold_up_the_subject_that_it_names(world: World) -> None:
    replica = await world.replica(create_project, lane_depth=1)
    replica.outlet.taking.clear()
    stranger = replica.begin(delivery(create(1, tenantid=uuid(7))))
    await replica.runtime.sleep(1)
    replica.outlet.taking.set()
    assert await replica.handle(delivery(create(2), message_id="m-2")) == Delete()
    assert isinstance(await stranger, DeadLetter)


# -- ledger ------------------------------------------------------------------------------------------------------------


async def test_a_ledger_that_does_not_answer_puts_the_message_back(world: World) -> None:
    replica = await world.replica(create_project, busy_timeout_s=0.01)
    with world.file_locked():
        delays = [await replica.handle(delivery(create(1), receive_count=count)) for count in (1, 3, 20)]
        swept = await replica.dispatcher.sweep(delivery(create(1)))
    for given, ceiling in zip([*delays, swept], (1, 4, 60, 1), strict=True):
        assert isinstance(given, Retry)
        assert 0 <= given.delay_s <= ceiling
    assert replica.outlet.reports == []
    assert await replica.ledger.lookup(key(1)) is None
    assert await replica.handle(delivery(create(1))) == Delete()


async def test_a_closed_ledger_puts_the_message_back(world: World) -> None:
    replica = await world.replica(create_project)
    await replica.ledger.close()
    assert isinstance(await replica.handle(delivery(create(1))), Retry)
    assert isinstance(await replica.handle(delivery("nonsense")), Retry)


# -- claim checks ------------------------------------------------------------------------------------------------------


@dataclass
class Shelf(ArtifactStore):
    """An artifact store that is out of reach at first."""

    things: Mapping[str, bytes]
    out_of_reach: int = 0
    asked: list[int] = field(default_factory=list)

    async def fetch(self, uri: str, *, limit_bytes: int) -> bytes:
        self.asked.append(limit_bytes)
        if len(self.asked) <= self.out_of_reach:
            raise TransientError(Reason.UNAVAILABLE, f"{uri}: S3 does not answer")
        if uri not in self.things:
            raise PermanentError(Reason.DATA_UNAVAILABLE, f"{uri} is not there")
        return self.things[uri]

    async def store(self, key: str, data: bytes) -> str:
        raise NotImplementedError


def data(*, of: int = 1, more: str = "") -> bytes:
    """What a claim check stands for."""
    return f'{{"project_id": "{uuid(of)}", "project_name": "project-{of}"{more}}}'.encode()


def checked(number: int, content: bytes, uri: str = "shelf://it", **attributes: object) -> str:
    """An event whose data is elsewhere."""
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    reference = {"dataref": uri, "datadigest": digest, "datasize": len(content)}
    return event(ProjectCreate, number, None, **{"subject": str(project(1)), **reference, **attributes})


async def test_a_claim_check_is_redeemed(world: World, tmp_path: Path) -> None:
    seen: list[str] = []

    @handler(ProjectCreate, steps=(), timeout_s=60)
    async def run(_ctx: Context, found: ProjectCreate) -> None:
        seen.append(found.project_name)

    artifacts = FileArtifacts(tmp_path / "artifacts", timeout_s=10)
    uri = await artifacts.store("one.json", data())
    replica = await world.replica(run, artifacts=artifacts)
    assert await replica.handle(delivery(checked(1, data(), uri))) == Delete()
    assert seen == ["project-1"]


@pytest.mark.parametrize(
    ("there", "promised", "reason", "found"),
    [
        (data(), data() + b" ", Reason.DATA_UNAVAILABLE, "dataref shelf://it: found "),
        (data(), data(of=2), Reason.DATA_UNAVAILABLE, "dataref shelf://it: found "),
        (None, data(), Reason.DATA_UNAVAILABLE, "shelf://it is not there"),
        (b"no JSON", b"no JSON", Reason.MALFORMED, "data: no JSON behind shelf://it"),
        (b"{}", b"{}", Reason.MALFORMED, "data.project_id: is missing"),
        (data(of=2), data(of=2), Reason.MALFORMED, f"data.project_id: found '{uuid(2)}'"),
    ],
)
async def test_what_a_claim_check_does_not_keep_is_rejected(
    world: World, there: bytes | None, promised: bytes, reason: Reason, found: str
) -> None:
    replica = await world.replica(create_project, artifacts=Shelf({} if there is None else {"shelf://it": there}))
    given = await replica.handle(delivery(checked(1, promised)))
    assert isinstance(given, DeadLetter)
    assert (given.key, given.outcome, given.reason) == (key(1), OutcomeKind.REJECTED, reason)
    assert given.message.startswith(found)
    assert (await replica.record(key(1))).attempts == 0


async def test_without_an_artifact_store_a_claim_check_is_rejected(world: World) -> None:
    replica = await world.replica(create_project)
    given = await replica.handle(delivery(checked(1, data())))
    assert given == DeadLetter(
        key(1), 1, OutcomeKind.REJECTED, Reason.UNSUPPORTED, "dataref: no artifact store is set up"
    )


async def test_an_artifact_store_that_does_not_answer_is_waited_for(world: World) -> None:
    shelf = Shelf({"shelf://it": data()}, out_of_reach=3)
    replica = await world.replica(create_project, artifacts=shelf, claim_check_max_bytes=2048)
    given = await replica.to_the_end(delivery(checked(1, data())))
    assert [type(disposition) for disposition in given] == [Defer, Defer, Defer, Delete]
    assert shelf.asked == [2048] * 4


async def test_an_artifact_store_that_never_answers_ends_the_event_in_time(world: World) -> None:
    replica = await world.replica(create_project, artifacts=Shelf({}, out_of_reach=10_000), default_expiry_s=3600)
    given = await replica.to_the_end(delivery(checked(1, data())))
    assert isinstance(given[-1], DeadLetter)
    assert (given[-1].outcome, given[-1].reason) == (OutcomeKind.FAILED, Reason.DEFERRED_TOO_LONG)
    assert given[-1].message == "waited in vain: shelf://it: S3 does not answer"
    assert 1800 < replica.runtime.monotonic() <= 3600
