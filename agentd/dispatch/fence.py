"""The fence that handlers pass to the ports: a claimed subject's right to write."""

from agentd.core import AuditKind, AuditLog, LeaseLost, Runtime, Subject
from agentd.dispatch.leases import Lease
from agentd.dispatch.policy import Spend
from agentd.ledger import Ledger


class LedgerFence:
    """Implements `agentd.core.Fence` over one lease.

    The first write to an object is noted in the ledger before it happens. So after a crash between effect and record
    the next attempt still knows that something had to be changed, and the report says the same as without the crash.
    """

    def __init__(
        self,
        lease: Lease,
        ledger: Ledger,
        runtime: Runtime,
        audit: AuditLog,
        *,
        event_id: str,
        generation: int,
        owner_id: str,
        margin_s: float,
        spend: Spend,
    ) -> None:
        self._lease = lease
        self._ledger = ledger
        self._runtime = runtime
        self._audit = audit
        self._event_id = event_id
        self._generation = generation
        self._owner_id = owner_id
        self._margin_s = margin_s
        self._spend = spend
        self._noted: set[tuple[str, bool]] = set()

    @property
    def subject(self) -> Subject:
        """The claimed subject."""
        return self._lease.claim.subject

    @property
    def generation(self) -> int:
        """The claimed generation."""
        return self._generation

    @property
    def event_id(self) -> str:
        """The event that writes."""
        return self._event_id

    @property
    def owner_id(self) -> str:
        """This agent's owner id."""
        return self._owner_id

    async def before_write(self, obj: str, *, stamp: bool = False, destroys: bool = False) -> float:
        """Note the write; the seconds that it may take. Raises LeaseLost, and NotReady(budget)."""
        self._lease.check()
        if destroys:
            await self._spend(self._event_id, obj)
        self._tell(obj, stamp=stamp)
        await self._audit.flush()
        if (obj, stamp) not in self._noted:
            renewal = await self._ledger.intend(self._lease.claim, obj, stamp=stamp, now=self._runtime.now())
            self._lease.accept(renewal)
            self._noted.add((obj, stamp))
        allowed_s = self._lease.remaining_s() - self._margin_s
        if allowed_s <= 0:
            raise LeaseLost(f"too little is left of the lease on {self.subject} to write to {obj}")
        return allowed_s

    def _tell(self, obj: str, *, stamp: bool) -> None:
        self._audit.append(
            AuditKind.WRITE_INTENDED,
            event_id=self._event_id,
            subject=str(self.subject),
            generation=self._generation,
            token=self._lease.claim.token,
            object=obj,
            stamp=stamp,
        )
