"""The claims that this replica holds in the ledger: one ticker renews them all."""

import asyncio
from dataclasses import dataclass, field

from agentd.core import AgentError, Cut, LeaseLost, Runtime
from agentd.ledger import Claim, Ledger, Renewal
from agentd.telemetry import Health, get_logger

log = get_logger("dispatch")


@dataclass(slots=True, eq=False)
class Lease:
    """A claim while it is worked on.

    Its end is kept on both clocks, so that neither a jump of the wall clock nor a machine that slept hides it.
    """

    claim: Claim
    runtime: Runtime
    until_monotonic: float
    until_wall: float
    preempted: bool = False
    lost: bool = False
    work: Cut | None = field(default=None, repr=False)

    def remaining_s(self) -> float:
        """Seconds that are left; nought or less when the lease is over."""
        if self.lost:
            return 0.0
        return min(self.until_monotonic - self.runtime.monotonic(), self.until_wall - self.runtime.now())

    def check(self) -> None:
        """Raises LeaseLost when the lease is over."""
        if self.remaining_s() <= 0:
            raise LeaseLost(f"the lease on {self.claim.subject} (token {self.claim.token}) has ended")

    def accept(self, renewal: Renewal) -> None:
        """Take in what the ledger says of the lease. Raises LeaseLost when it is over."""
        self.preempted = self.preempted or renewal.preempted_by is not None
        if not renewal.valid:
            self.lost = True
            raise LeaseLost(f"the lease on {self.claim.subject} (token {self.claim.token}) was taken over")

    def stop_work(self) -> None:
        """Cut the running attempt short, now."""
        self.lost = True
        if self.work is not None:
            self.work.end()


class LeaseKeeper:
    """Renews held leases well before they end; one that cannot be renewed in time stops its attempt."""

    def __init__(
        self, ledger: Ledger, runtime: Runtime, health: Health, *, lease_s: float, clock_skew_s: float
    ) -> None:
        self._ledger = ledger
        self._runtime = runtime
        self._lease_s = lease_s
        self._clock_skew_s = clock_skew_s
        self._held: set[Lease] = set()
        self._pulse = health.pulse("subject-leases")

    @property
    def lasts_s(self) -> float:
        """How long the ledger keeps a claim from others: longer than its holder relies on it, as clocks differ."""
        return self._lease_s + self._clock_skew_s

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, claim: Claim, *, claimed_at_monotonic: float, claimed_at_wall: float) -> Lease:
        """Keep the claim alive until `let_go`. The time of the claim is the one before the ledger was asked."""
        lease_s = self._lease_s
        lease = Lease(claim, self._runtime, claimed_at_monotonic + lease_s, claimed_at_wall + lease_s)
        self._held.add(lease)
        return lease

    def let_go(self, lease: Lease) -> None:
        """Keep the claim alive no more."""
        self._held.discard(lease)

    async def run(self) -> None:
        """Renew for ever."""
        while True:
            self._pulse.beat("sleeping", within_s=self._lease_s / 4)
            await self._runtime.sleep(self._lease_s / 4)
            self._pulse.beat("renewing", within_s=self._lease_s / 4)
            leases = [lease for lease in self._held if not lease.lost]
            if leases:
                await self._renew(leases)
            else:
                self._pulse.succeeded()

    async def _renew(self, leases: list[Lease]) -> None:
        asked_monotonic, asked_wall = self._runtime.monotonic(), self._runtime.now()
        until = asked_wall + self.lasts_s
        try:
            # As short as the pause between two renewals: one that hangs leaves time for another before the lease ends.
            async with asyncio.timeout(self._lease_s / 4):
                renewals = await self._ledger.renew([lease.claim for lease in leases], now=asked_wall, until=until)
        except (AgentError, TimeoutError) as error:
            log.warning("lease.renew_failed", leases=len(leases), error=str(error))
            renewals = [Renewal(valid=lease.remaining_s() > 0) for lease in leases]
        else:
            self._pulse.succeeded()
            for lease, renewal in zip(leases, renewals, strict=True):
                if renewal.valid:
                    lease.until_monotonic = asked_monotonic + self._lease_s
                    lease.until_wall = asked_wall + self._lease_s
        for lease, renewal in zip(leases, renewals, strict=True):
            self._take_in(lease, renewal)

    def _take_in(self, lease: Lease, renewal: Renewal) -> None:
        try:
            lease.accept(renewal)
        except LeaseLost as error:
            # An attempt that has just ended may have released its lease while the renewal was on its way.
            if lease in self._held:
                log.warning("lease.lost", subject=str(lease.claim.subject), error=error.message)
                lease.stop_work()
