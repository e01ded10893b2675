"""Shared variables: compare and set."""

from collections.abc import Mapping

from agentd.ledger.documents.places import VARIABLES
from agentd.ledger.documents.shapes import SharedValue
from agentd.ledger.documents.transaction import Transaction
from agentd.ledger.protocol import Json, Variable
from agentd.ledger.variables import MOST_VARIABLES

_VERSION_DIGITS = 13


async def get(txn: Transaction, name: str) -> Variable | None:
    """A variable that is set."""
    await txn.read([txn.places.variable(name)])
    found = txn.find(SharedValue, txn.places.variable(name))
    return None if found is None else Variable(found.value, found.version)


async def beginning_with(txn: Transaction, prefix: str) -> Mapping[str, Variable]:
    """All that are set, by name, in order. A tilde sorts behind every character of a name."""
    places = await txn.list(VARIABLES, first=prefix, before=f"{prefix}~", limit=MOST_VARIABLES)
    found = [shared for place in places if (shared := txn.find(SharedValue, place)) is not None]
    return {shared.name: Variable(shared.value, shared.version) for shared in found}


async def put(txn: Transaction, name: str, value: Json, *, version: int | None) -> bool:
    """Set or unset, if the version is as expected."""
    before = await get(txn, name)
    if version != (None if before is None else before.version):
        return False
    place = txn.places.variable(name)
    if value is None:
        txn.delete(place)
    else:
        # As good as never used twice: 52 random bits. Nothing then needs to be kept of a variable that is unset.
        txn.put(place, SharedValue(name, value, int(txn.id[:_VERSION_DIGITS], 16)))
    return True
