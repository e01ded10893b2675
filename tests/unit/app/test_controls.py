"""What somebody says in the ledger is heard by every replica."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agentd.app.controls import Controls
from agentd.bus import Intake
from agentd.core import AuditKind
from agentd.dispatch.policy import Budget, BudgetConfig, budget, intake
from tests.unit.dispatch.policy.audit import RecordingAudit
from tests.unit.dispatch.world import Replica, World
from tests.virtual_time import START

CONFIG = BudgetConfig(destructive_steps=2, window_s=3600)


class Listener:
    """One replica's controls."""

    def __init__(self, replica: Replica, config: BudgetConfig = CONFIG) -> None:
        self.replica = replica
        self.valve = Intake(replica.metrics)
        self.audit = RecordingAudit()
        self.controls = Controls(
            replica.ledger,
            self.valve,
            config,
            audit=self.audit,
            runtime=replica.runtime,
            metrics=replica.metrics,
            health=replica.health,
        )

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Until the block ends, from after the first look."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.controls.run())
            await self.hear()
            yield
            task.cancel()

    async def hear(self) -> None:
        """Until the next look is over."""
        await self.replica.runtime.sleep(CONFIG.watch_s + 0.1)

    @property
    def notes(self) -> list[dict[str, object]]:
        """What the audit log was told."""
        assert all(kind is AuditKind.CONTROL for kind, _ in self.audit.entries)
        return [facts for _, facts in self.audit.entries]


async def test_a_pause_shuts_the_intake_of_every_replica_until_it_is_taken_back(world: World) -> None:
    one, other = Listener(await world.replica(name="a")), Listener(await world.replica(name="b"))
    async with one.listening(), other.listening():
        assert not one.valve.reasons
        await intake.pause(one.replica.ledger, one.replica.runtime, by="bob", why="the network is being mended")
        await other.hear()
        for listener in (one, other):
            assert listener.valve.reasons == {"operator"}
            (warning,) = listener.controls.warnings()
            assert warning.startswith("intake was paused by bob at 2023-11-14T22:13:2")
            assert warning.endswith("+00:00: the network is being mended")
            assert listener.notes == [{"what": "intake.paused", "by": "bob", "why": "the network is being mended"}]
        assert await intake.resume(other.replica.ledger, other.replica.runtime) is not None
        await other.hear()
        for listener in (one, other):
            assert not listener.valve.reasons
            assert listener.controls.warnings() == ()
            assert listener.notes[1:] == [{"what": "intake.resumed"}]
        assert await intake.resume(other.replica.ledger, other.replica.runtime) is None


async def test_nothing_is_taken_in_before_the_ledger_has_been_asked(world: World) -> None:
    listener = Listener(await world.replica())
    await intake.pause(listener.replica.ledger, listener.replica.runtime, by="bob", why="x")
    assert listener.valve.reasons == {"operator"}
    async with listener.listening():
        assert listener.valve.reasons == {"operator"}


async def test_other_reasons_to_pause_are_left_alone(world: World) -> None:
    listener = Listener(await world.replica())
    listener.valve.pause("outbox_full")
    async with listener.listening():
        assert listener.valve.reasons == {"outbox_full"}


async def test_a_ledger_that_does_not_answer_changes_nothing(world: World) -> None:
    listener = Listener(await world.replica())
    await intake.pause(listener.replica.ledger, listener.replica.runtime, by="bob", why="x")
    async with listener.listening():
        await listener.replica.ledger.close()
        await listener.hear()
        assert listener.valve.reasons == {"operator"}
        assert listener.replica.health.ailments() == ()


async def test_a_stopped_budget_is_told_until_it_is_released(world: World) -> None:
    listener = Listener(await world.replica())
    replica = listener.replica
    spent = Budget(CONFIG, replica.ledger, replica.runtime)
    async with listener.listening():
        await spent.spend("e", "o1")
        await listener.hear()
        assert (replica.count("budget_left"), replica.count("budget_stopped")) == (1, 0)
        await spent.spend("e", "o2")
        (refused,) = await asyncio.gather(spent.spend("e", "o3"), return_exceptions=True)
        assert refused is not None
        await listener.hear()
        assert (replica.count("budget_left"), replica.count("budget_stopped")) == (0, 1)
        (warning,) = listener.controls.warnings()
        assert warning.startswith("destructive steps wait for `agentd budget release` since 2023-11-14T22:13:2")
        assert warning.endswith(": 2 within 3600 s had been done")
        await budget.release(replica.ledger, replica.runtime, by="bob", steps=1)
        await listener.hear()
        assert (replica.count("budget_left"), replica.count("budget_stopped")) == (1, 0)
        assert listener.controls.warnings() == ()
    assert listener.notes == [
        {"what": "budget.stopped", "destructive_steps": 2, "window_s": 3600},
        {"what": "budget.released", "by": "bob", "steps": 1},
    ]
    assert replica.runtime.now() > START
