"""The invariants of the architecture, and what goes with them. The book comes first: the others read it."""

from tests.simulation.invariants.books import Books, Held
from tests.simulation.invariants.calls import Patience
from tests.simulation.invariants.claims import Attempts, Bookkeeper, KeptAlive
from tests.simulation.invariants.drain import HandOver
from tests.simulation.invariants.order import GroupOrder, Isolation, Preemption
from tests.simulation.invariants.outbox import Outbox
from tests.simulation.invariants.outcomes import Epochs, Justified, NothingLost
from tests.simulation.invariants.queues import AckLast, Delays, Retries
from tests.simulation.invariants.receipts import Receipts
from tests.simulation.invariants.shares import Shares
from tests.simulation.invariants.wanted import AsWanted
from tests.simulation.invariants.writes import Announced, Fencing, Idempotence, Locked, NoResurrection, Ownership
from tests.simulation.scene import Checker

CHECKERS: tuple[type[Checker], ...] = (
    Bookkeeper,
    KeptAlive,
    Attempts,
    NothingLost,
    Justified,
    Epochs,
    AckLast,
    Outbox,
    Delays,
    Retries,
    GroupOrder,
    Preemption,
    Isolation,
    Shares,
    Fencing,
    Announced,
    Patience,
    Ownership,
    Idempotence,
    Locked,
    NoResurrection,
    HandOver,
    Books,
    Held,
    Receipts,
    AsWanted,
)
