"""How the documents are laid out, written down once, so that no program of another version takes them for its own."""

from agentd.core import PermanentError, Reason
from agentd.ledger.documents.places import LAYOUT
from agentd.ledger.documents.shapes import Layout
from agentd.ledger.documents.transaction import Transaction

VERSION = 1


async def check(txn: Transaction, *, read_only: bool) -> None:
    """Write the layout down in an empty store. PermanentError(unsupported): the store has another one."""
    own = Layout(VERSION, txn.places.shards)
    await txn.read([LAYOUT])
    found = txn.find(Layout, LAYOUT)
    if found is None and not read_only:
        txn.put(LAYOUT, own)
    if found not in (None, own):
        raise PermanentError(
            Reason.UNSUPPORTED,
            f"the ledger is laid out as {found}, this program knows {own}; run the version that wrote it, or a newer one",
        )
