"""Work that only one replica may do at a time, cut into numbered shards that the replicas share evenly.

The door: `Shards(name, count, work, ...)` and its `run()`. `work(number)` is called for each shard that this replica holds,
works for ever, and is cancelled when the shard goes to another replica, or when its lease cannot be renewed in time.

Who holds what is one shared variable of the ledger, changed by compare and set, so every replica decides by the same table:
each renews its part, takes what is free, and gives back what is more than its fair part. Work has ended before its shard is
given back. A replica that stops gives everything back at once; of one that has died the lease ends by itself.
"""

import asyncio
from collections.abc import Awaitable, Callable
from zlib import crc32

from agentd.core import AgentError, Reason, Runtime, Subject, TransientError
from agentd.ledger import Ledger, Variable
from agentd.reconcile import sharing
from agentd.reconcile.config import ShardsConfig
from agentd.telemetry import Health, get_logger

log = get_logger("reconcile")

Work = Callable[[int], Awaitable[None]]

_TRIES = 5  # at once, against replicas that renew at the same moment
_LEAVE_S = 3.0  # that giving back may take at the end; others wait for the lease's end otherwise


def shard_of(subject: Subject, count: int) -> int:
    """The number, below `count`, of the shard that a subject is in: the same for every replica."""
    return crc32(str(subject).encode()) % count


class Shards:
    """See the module. `name` is of [a-z-], and the same on every replica, as `count` is."""

    def __init__(
        self,
        name: str,
        count: int,
        work: Work,
        *,
        replica: str,
        ledger: Ledger,
        runtime: Runtime,
        health: Health,
        config: ShardsConfig,
    ) -> None:
        self._variable = f"shards/{name}"
        self._name = name
        self._count = count
        self._work = work
        self._replica = replica
        self._ledger = ledger
        self._runtime = runtime
        self._config = config
        self._pulse = health.pulse(f"shards-{name}")
        self._works: dict[int, asyncio.Task[None]] = {}
        self._until = 0.0

    @property
    def name(self) -> str:
        """The name of the work."""
        return self._name

    @property
    def held(self) -> frozenset[int]:
        """The shards that are worked on here."""
        return frozenset(self._works)

    async def run(self) -> None:
        """Hold a fair part of the shards, for ever, and give it back when cancelled. Raises what the work raises."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._renew_in_time(group)
                    self._pulse.beat("sleeping", within_s=self._pause_s)
                    await self._runtime.sleep(self._pause_s)
        finally:
            self._works.clear()
            await self._leave()

    @property
    def _pause_s(self) -> float:
        """Four renewals a lease: two may fail."""
        return self._config.lease_s / 4

    async def _renew_in_time(self, group: asyncio.TaskGroup) -> None:
        """One renewal; without it work stops when it could not be made before the lease ends."""
        self._pulse.beat("renewing", within_s=self._pause_s)
        try:
            async with asyncio.timeout(self._pause_s):
                await self._renew(group)
        except (AgentError, TimeoutError) as error:
            log.warning("shards.not_renewed", work=self._name, error=str(error) or "the ledger does not answer")
        else:
            self._pulse.succeeded()
            return
        # The next try ends two pauses from now.
        if self._works and self._runtime.monotonic() + 2 * self._pause_s > self._until:
            log.warning("shards.lost", work=self._name, shards=sorted(self._works))
            await self._stop(self.held)

    async def _renew(self, group: asyncio.TaskGroup) -> None:
        for _ in range(_TRIES):
            found = await self._ledger.variable(self._variable)
            table = sharing.table_from(None if found is None else found.value)
            late = self._runtime.now() - self._config.clock_skew_s
            wanted = sharing.share(table, self._replica, count=self._count, now=late)
            await self._stop(self.held - wanted)
            if await self._write(table, wanted, found):
                self._start(group, wanted - self.held)
                return
            await self._runtime.sleep(self._runtime.full_jitter(self._pause_s / (2 * _TRIES)))
        raise TransientError(Reason.UNAVAILABLE, f"others were faster {_TRIES} times")

    async def _write(self, table: sharing.Table, wanted: frozenset[int], found: Variable | None) -> bool:
        now, until = self._runtime.now(), self._runtime.monotonic() + self._config.lease_s
        late = now - self._config.clock_skew_s
        after = sharing.renewed(table, self._replica, wanted, now=late, until=now + self._config.lease_s)
        version = None if found is None else found.version
        if not await self._ledger.set_variable(self._variable, sharing.table_json(after), version=version):
            return False
        self._until = until
        return True

    def _start(self, group: asyncio.TaskGroup, shards: frozenset[int]) -> None:
        for shard in sorted(shards):
            log.info("shard.taken", work=self._name, shard=shard)
            self._works[shard] = self._runtime.spawn(group, self._for_ever(shard), f"{self._name}-{shard}")

    async def _for_ever(self, shard: int) -> None:
        await self._work(shard)
        raise RuntimeError(f"the work on shard {shard} of {self._name} has ended, which it must not")

    async def _stop(self, shards: frozenset[int]) -> None:
        """Returns once nobody works on them here."""
        if not shards:
            return
        for shard in shards:
            self._works[shard].cancel()
        await asyncio.wait([self._works[shard] for shard in shards])
        for shard in shards:
            del self._works[shard]
        log.info("shards.given_up", work=self._name, shards=sorted(shards))

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(_LEAVE_S):
                while (found := await self._ledger.variable(self._variable)) is not None:
                    after = sharing.table_json(sharing.without(sharing.table_from(found.value), self._replica))
                    if await self._ledger.set_variable(self._variable, after, version=found.version):
                        return
        except (AgentError, TimeoutError) as error:
            log.warning("shards.not_given_back", work=self._name, error=str(error) or "the ledger does not answer")
