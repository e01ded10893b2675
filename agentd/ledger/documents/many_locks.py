"""A claim with more locks than one transaction can hold: it takes several, and still happens at one moment.

The first marks the event's open epoch as about to take a lease of a certain id. The next ones leave references to that id on
the subjects to be locked, where nobody is in the way. The last one makes the lease, and so all references good at once, if the
mark is still there: whoever comes first to what only is about to be locked wipes the mark out.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice

from agentd.core import LockMode, Reason, Runtime, TransientError
from agentd.ledger.documents import claims, leases
from agentd.ledger.documents.shapes import Ref
from agentd.ledger.documents.transaction import Transaction, Transactions
from agentd.ledger.protocol import ClaimRequest, ClaimResult, Held

LOCKS_AT_ONCE = 40
"""Locks of one transaction. Beside each subject it may change the open epoch of one who was about to lock it."""

_MOST_TRIES = 20
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


async def claim(transactions: Transactions, runtime: Runtime, request: ClaimRequest) -> ClaimResult:
    """As a claim in one transaction. TransientError: others came first to what it locks, again and again."""
    for tries in range(_MOST_TRIES):
        answer = await _claim_once(transactions, request)
        if answer is not None:
            return answer
        await runtime.sleep(runtime.full_jitter(min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**tries)))
    raise TransientError(
        Reason.UNAVAILABLE, f"ledger: others came first {_MOST_TRIES} times to what {request.key} locks"
    )


async def _claim_once(transactions: Transactions, request: ClaimRequest) -> ClaimResult | None:
    lease = transactions.new_id()
    answer = await transactions.run(partial(_begin, request=request, lease=lease))
    if answer is not None:
        return answer
    obstacle: Held | None = None
    for modes in _some_at_a_time(leases.wanted(request)):
        obstacle = await transactions.run(partial(_lock_some, request=request, modes=modes, lease=lease))
        if obstacle is not None:
            break
    return await transactions.run(partial(_complete, request=request, lease=lease, obstacle=obstacle))


def _some_at_a_time(modes: dict[str, LockMode]) -> Iterator[dict[str, LockMode]]:
    left = iter(modes.items())
    while some := dict(islice(left, LOCKS_AT_ONCE)):
        yield some


async def _begin(txn: Transaction, request: ClaimRequest, lease: str) -> ClaimResult | None:
    """The first step of a claim with many locks. The answer, when something else than a lock is in the way."""
    answer = await claims.decide(txn, request, {})
    if not isinstance(answer, claims.Ready):
        return answer
    txn.put(txn.places.open(request.key), replace(answer.opened, pending=lease))
    return None


async def _lock_some(txn: Transaction, request: ClaimRequest, modes: dict[str, LockMode], lease: str) -> Held | None:
    """The next step, for some of the subjects to be locked. What is in the way of one of them."""
    await txn.read(txn.places.subject(subject) for subject in modes)
    await txn.read(leases.referred_to(txn, [leases.entry_of(txn, subject) for subject in modes]))
    standing = leases.standing(txn, request, modes)
    obstacle = next((found.obstacle for found in standing if found.obstacle is not None), None)
    if obstacle is None:
        for found in standing:
            leases.overtake(txn, found)
            leases.lock(txn, found, Ref(request.key, lease, found.mode))
    return obstacle


async def _complete(txn: Transaction, request: ClaimRequest, lease: str, obstacle: Held | None) -> ClaimResult | None:
    """The last step. None: others came first to what was to be locked; begin anew."""
    answer = await claims.decide(txn, request, {}, obstacle)
    if not isinstance(answer, claims.Ready):
        return answer
    if answer.opened.pending != lease:
        return None
    return await claims.take(txn, request, answer, lease)
