"""Many crashes and many orderly ends under load, one after the other, on one stack. `make soak` does hundreds of them."""

import asyncio
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path

import pytest

from agentd.bus import QueueDepth
from agentd.cli.control_plane import ControlPlane, control_plane, event
from agentd.cli.stack import Stack, start_stack
from agentd.core import system_runtime
from agentd.embedded import Fault, FaultKind
from agentd.events import ProjectCreate, ProjectDelete
from tests.e2e.harness import SHORT, Replica, depth, eventually, replicas, settled, uuid_of
from tests.e2e.test_drain import send_signal
from tests.e2e.witness import claims, overlaps, strays, writes

KILLS = int(os.environ.get("SOAK_KILLS", "6"))
SIGTERMS = int(os.environ.get("SOAK_SIGTERMS", "4"))
SEED = 20261124
LEASE_S = float(SHORT["AGENTD_DISPATCH__LEASE_S"])
RECOVERY_S = LEASE_S + float(SHORT["AGENTD_DISPATCH__CLOCK_SKEW_S"]) + 5
# What is in the middle of something when the blow falls.
CALL_S = 0.3


@dataclass(slots=True)
class Load:
    """Events of ever new generations of so many projects, a few a second, until told to stop."""

    plane: ControlPlane
    dice: random.Random
    subjects: int
    sent: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Every generation is a create, or now and then a delete; some are sent twice."""
        for number in count():
            name = f"soak-{number % self.subjects}"
            generation = len(self.sent[name]) + 1
            create = ProjectCreate(project_id=uuid_of(name), project_name=name)
            delete = ProjectDelete(project_id=uuid_of(name), project_name=name, force=True)
            event_id = uuid_of(f"{name} {generation}")
            body = event(delete if generation % 3 == 0 else create, generation, event_id=event_id)
            self.sent[name].append(event_id)
            for _ in range(self.dice.choice((1, 1, 2))):
                await self.plane.send(body)
            try:
                async with asyncio.timeout(0.15):
                    await self.stopping.wait()
                    return
            except TimeoutError:
                continue

    @property
    def event_ids(self) -> set[str]:
        """Everything that was sent."""
        return {event_id for sent in self.sent.values() for event_id in sent}


@asynccontextmanager
async def under_load(folder: Path, *, subjects: int) -> AsyncIterator[tuple[Stack, ControlPlane, Load]]:
    """A stack whose registry is slow, and events that keep coming until the block ends; then all of them must end."""
    async with start_stack(folder, visibility_s=3) as stack, control_plane(stack, system_runtime()) as plane:
        await stack.cloud.inject(
            Fault(kind=FaultKind.DELAY, service="ecr", operation="CreateRepository", delay_s=CALL_S, times=None)
        )
        load = Load(plane, random.Random(SEED), subjects)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run(), name="load")
            yield stack, plane, load
            load.stopping.set()


def ends(plane: ControlPlane) -> Mapping[str, set[tuple[str, str, str | None, bool]]]:
    """Per event the different ends that were reported."""
    found = defaultdict(set)
    for report in plane.outcomes:
        data = report["data"]
        found[data["event_id"]].add((report["id"], data["outcome"], data["reason"], data["changed"]))
    return found


async def all_ended(plane: ControlPlane, load: Load) -> None:
    """Every event has one end, and the newest of each project is carried through."""

    async def reported() -> bool:
        return load.event_ids <= ends(plane).keys()

    await eventually(reported, within_s=90)
    ended = ends(plane)
    assert [different for different in ended.values() if len(different) != 1] == []
    outcomes = {event_id: next(iter(different))[1:3] for event_id, different in ended.items()}
    newest = {sent[-1] for sent in load.sent.values()}
    assert {outcomes[event_id] for event_id in newest} == {("succeeded", None)}
    # An older generation may come after a newer one, or after the delete that ended its project.
    assert set(outcomes.values()) <= {("succeeded", None), ("superseded", "newer_generation"), ("failed", "deleted")}


async def nothing_hidden(stack: Stack) -> bool:
    """Whether the commands queue hides nothing."""
    left = await depth(stack, stack.commands_url)
    return left == QueueDepth(visible=left.visible, in_flight=0, delayed=0)


def check_order(made: Sequence[Replica], ledger: Path) -> None:
    """One valid lease a subject, tokens that grow, and no write but the newest holder's."""
    granted = claims(ledger)
    written = writes(made, ledger)
    assert written, "nobody wrote anything: is the tap in the way at all?"
    wrong = [*overlaps(granted, lease_s=LEASE_S), *strays(written, granted)]
    assert not wrong, "\n".join(wrong)


def check_recovery(ledger: Path, killed: Sequence[float]) -> None:
    """What a dead replica held is taken over within a lease and five seconds of the last blow that was in the way."""
    for granted in claims(ledger).values():
        for earlier, later in pairwise(granted):
            if earlier.ended_at is not None:
                continue
            deadline = 0.0
            for moment in killed:
                if earlier.asked_at < moment and (not deadline or moment < deadline):
                    deadline = moment + RECOVERY_S
            assert not deadline or later.asked_at < deadline, f"taken over late: {earlier}, then {later}"


@pytest.mark.slow
@pytest.mark.timeout(60 + 12 * KILLS)
async def test_kill_9_at_any_moment_under_load_with_two_replicas(tmp_path: Path) -> None:
    dice, killed, made = random.Random(SEED), [], []
    async with under_load(tmp_path, subjects=12) as (stack, plane, load), AsyncExitStack() as ending:

        async def another() -> Replica:
            (replica,) = await ending.enter_async_context(replicas(stack, 1, **SHORT))
            made.append(replica)
            return replica

        pair = [await another(), await another()]
        for _ in range(KILLS):
            await asyncio.sleep(dice.uniform(0.0, 1.5))
            victim = dice.randrange(2)
            assert await pair[victim].daemon.kill() != 0
            killed.append(time.time())
            pair[victim] = await another()
        load.stopping.set()
        await all_ended(plane, load)
        await settled(stack)
        check_order(made, stack.folder / "ledger.db")
        check_recovery(stack.folder / "ledger.db", killed)
        shares = Counter(claim.replica for granted in claims(stack.folder / "ledger.db").values() for claim in granted)
        assert len(shares) > 1


@pytest.mark.slow
@pytest.mark.timeout(60 + 12 * SIGTERMS)
async def test_sigterm_at_any_moment_under_load_leaves_nothing_invisible(tmp_path: Path) -> None:
    dice, made = random.Random(SEED), []
    # Each event has a project of its own: none is put off, and so hidden by right, because another goes before it.
    async with under_load(tmp_path, subjects=1_000_000) as (stack, plane, load):
        for _ in range(SIGTERMS):
            async with replicas(stack, 1) as (replica,):
                made.append(replica)
                await asyncio.sleep(dice.uniform(0.0, 1.5))
                signalled_at = send_signal(replica.daemon)
                async with asyncio.timeout(20):
                    assert await replica.daemon.wait() == 0
                late = [call for call in replica.tap.of("ReceiveMessage") if call.began_at > signalled_at + 0.1]
                assert late == []
                # A message that is being sent counts as hidden for an instant; one that was left behind is for a minute.
                await eventually(lambda: nothing_hidden(stack), within_s=2)
        async with replicas(stack, 1) as (replica,):
            made.append(replica)
            load.stopping.set()
            await all_ended(plane, load)
            await settled(stack)
        check_order(made, stack.folder / "ledger.db")
