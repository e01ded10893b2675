"""Two daemons on one queue and one ledger: equals that never work on one subject at the same time."""

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agentd.cli.control_plane import ControlPlane, control_plane, event
from agentd.cli.demo import Teller
from agentd.cli.stack import Stack, start_stack
from agentd.cli.story import Act, Stage, story
from agentd.core import system_runtime
from agentd.embedded import Fault, FaultKind
from agentd.events import ProjectCreate, ProjectDelete
from tests.e2e.harness import SHORT, Replica, eventually, replicas, settled, uuid_of
from tests.e2e.witness import claims, overlaps, read_rows, strays, writes

SEED = 20261124
SUBJECTS = 15
LEASE_S = float(SHORT["AGENTD_DISPATCH__LEASE_S"])


@dataclass(frozen=True, slots=True)
class Burst:
    """Events in the order in which they are sent, duplicates among them, and which repositories must be there at the end."""

    bodies: Sequence[str]
    event_ids: frozenset[str]
    newest: frozenset[str]
    repositories: Mapping[str, str]


def burst() -> Burst:
    """Four generations of each of 15 projects, shuffled, every third event twice. The last word of some is a delete."""
    dice = random.Random(SEED)
    bodies: dict[str, str] = {}
    newest: set[str] = set()
    repositories = {}
    for number in range(SUBJECTS):
        name = f"project-{number}"
        gone = number % 5 == 4
        for generation in range(1, 5):
            delete = generation == 4 if gone else generation == 3 and number % 3 == 0
            project_id = uuid_of(name)
            create = ProjectCreate(project_id=project_id, project_name=name)
            data = ProjectDelete(project_id=project_id, project_name=name, force=True) if delete else create
            event_id = uuid_of(f"{name} {generation}")
            bodies[event_id] = event(data, generation, event_id=event_id)
        newest.add(event_id)
        if not gone:
            repositories[f"conveyor/data-plane/project/{name}"] = "4"
    sent = [*bodies.values(), *dice.sample(list(bodies.values()), len(bodies) // 3)]
    dice.shuffle(sent)
    return Burst(sent, frozenset(bodies), frozenset(newest), repositories)


async def send(plane: ControlPlane, bodies: Sequence[str]) -> None:
    """All at once, in this order as far as it is ours."""
    async with asyncio.TaskGroup() as group:
        for body in bodies:
            group.create_task(plane.send(body))


def ends(plane: ControlPlane) -> Mapping[str, set[tuple[str, str, str | None, bool]]]:
    """Per event the different ends that were reported."""
    found = defaultdict(set)
    for report in plane.outcomes:
        data = report["data"]
        found[data["event_id"]].add((report["id"], data["outcome"], data["reason"], data["changed"]))
    return found


async def all_ended(plane: ControlPlane, event_ids: frozenset[str], *, within_s: float) -> None:
    """Returns when every event has been reported."""

    async def reported() -> bool:
        return event_ids <= ends(plane).keys()

    await eventually(reported, within_s=within_s)


def once_reported(acts: Sequence[Act]) -> Sequence[Act]:
    """A FIFO reports queue drops the repeated report of a repeated event by itself, since its id is the same."""
    return [replace(act, tellings=[replace(telling, count=1) for telling in act.tellings]) for act in acts]


def check_exclusion(pair: Sequence[Replica], ledger: Path) -> None:
    """Never two valid leases on a subject, and no write but the newest holder's."""
    granted = claims(ledger)
    made = writes(pair, ledger)
    assert made, "nobody wrote anything: is the tap in the way at all?"
    wrong = [*overlaps(granted, lease_s=LEASE_S), *strays(made, granted)]
    assert not wrong, "\n".join(wrong)


def check_burst(plane: ControlPlane, sent: Burst) -> None:
    """Every event has ended once; the newest of each subject carried through, the others so or superseded."""
    ended = ends(plane)
    assert ended.keys() == sent.event_ids
    assert [different for different in ended.values() if len(different) != 1] == []
    outcomes = {event_id: next(iter(different))[1:3] for event_id, different in ended.items()}
    assert {outcomes[event_id] for event_id in sent.newest} == {("succeeded", None)}
    assert set(outcomes.values()) <= {("succeeded", None), ("superseded", "newer_generation")}


async def check_world(stack: Stack, sent: Burst) -> None:
    """The repositories are those of the newest generations."""
    found = {row[0]: row[2] for row in await Stage(stack, system_runtime()).repositories()}
    assert found == sent.repositories


@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
@pytest.mark.slow
async def test_two_replicas_tell_the_story_and_never_share_a_subject(tmp_path: Path, fifo: bool) -> None:
    runtime = system_runtime()
    async with (
        start_stack(tmp_path, fifo=fifo, visibility_s=3) as stack,
        replicas(stack, 2, **SHORT) as pair,
        control_plane(stack, runtime) as plane,
    ):
        teller = Teller(Stage(stack, runtime), plane, once_reported(story(fifo=True)) if fifo else story())
        await teller.tell(lambda _told: None)
        assert [(told.telling.title, told.found) for told in teller.told.values() if not told.right] == []
        await settled(stack)
        check_exclusion(pair, stack.folder / "ledger.db")


@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
@pytest.mark.slow
async def test_two_replicas_share_a_burst_and_every_event_ends_once(tmp_path: Path, fifo: bool) -> None:
    sent = burst()
    async with (
        start_stack(tmp_path, fifo=fifo, visibility_s=3) as stack,
        # Neither can hold the whole burst while the registry is slow: what is left is for the other.
        replicas(stack, 2, **SHORT, AGENTD_BUS__SLOTS="8") as pair,
        control_plane(stack, system_runtime()) as plane,
    ):
        await stack.cloud.inject(
            Fault(kind=FaultKind.DELAY, service="ecr", operation="CreateRepository", delay_s=1.0, times=None)
        )
        await send(plane, sent.bodies)
        await all_ended(plane, sent.event_ids, within_s=45)
        await settled(stack)
        check_burst(plane, sent)
        await check_world(stack, sent)
        check_exclusion(pair, stack.folder / "ledger.db")
        shares = Counter(claim.replica for granted in claims(stack.folder / "ledger.db").values() for claim in granted)
        assert set(shares) == {replica.name for replica in pair}, f"one replica did all the work: {shares}"


@pytest.mark.slow
async def test_the_other_replica_takes_over_within_a_lease_when_one_is_killed(tmp_path: Path) -> None:
    sent = burst()
    async with (
        start_stack(tmp_path, visibility_s=3) as stack,
        replicas(stack, 2, **SHORT) as pair,
        control_plane(stack, system_runtime()) as plane,
    ):
        ledger = stack.folder / "ledger.db"
        # So that somebody is in the middle of something whenever the blow falls.
        await stack.cloud.inject(
            Fault(kind=FaultKind.DELAY, service="ecr", operation="CreateRepository", delay_s=1.0, times=None)
        )
        await send(plane, sent.bodies)

        def busiest() -> tuple[int, Replica]:
            now = time.time()
            number, index = max(
                (sum(call.open_at(now) for call in replica.tap.of("CreateRepository")), index)
                for index, replica in enumerate(pair)
            )
            return number, pair[index]

        async def somebody_is_busy() -> bool:
            return busiest()[0] >= 2

        await eventually(somebody_is_busy)
        _, victim = busiest()
        assert await victim.daemon.kill() != 0
        killed_at = time.time()
        # What it held shows again after a visibility of 3 s; what was behind it in line, a while after that.
        await all_ended(plane, sent.event_ids, within_s=30)
        await settled(stack)
        check_burst(plane, sent)
        await check_world(stack, sent)
        check_exclusion(pair, ledger)
        orphans = [claim for granted in claims(ledger).values() for claim in granted if claim.ended_at is None]
        assert {claim.replica for claim in orphans} == {victim.name}
        # By the same event, or by a newer one of the subject; within a visibility, a lease and a put-off in between.
        for orphan in orphans:
            after = [claim.at for claim in claims(ledger)[orphan.subject] if claim.position > orphan.position]
            assert after, f"nobody took over {orphan}"
            assert min(after) - killed_at < 10, f"taken over late: {orphan}"
        assert read_rows(ledger, "SELECT * FROM leases") == []
