"""What a claim would be given."""

from agentd.ledger.documents import leases
from agentd.ledger.documents.claims import claims_of, desired_of, name_taken
from agentd.ledger.documents.transaction import Transaction
from agentd.ledger.judgement import desired_after, judge, newest
from agentd.ledger.protocol import ClaimRequest, Foreseen, Prospect


async def foresee(txn: Transaction, request: ClaimRequest) -> Prospect:
    """See the protocol."""
    subject, places = str(request.subject), txn.places
    await txn.read(
        [places.subject(subject), places.desired(subject), *(places.name(kind, name) for kind, name in request.names)]
    )
    desired = desired_of(txn, subject)
    claims = claims_of(leases.entry_of(txn, subject), desired)
    return (
        judge(request, claims)
        or await name_taken(txn, request)
        or Foreseen(newest(request, claims), desired_after(request, claims, desired.facets))
    )
