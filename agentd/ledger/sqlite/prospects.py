"""What a claim would be given."""

from agentd.ledger.judgement import desired_after, judge, newest
from agentd.ledger.protocol import ClaimRequest, Foreseen, Prospect
from agentd.ledger.sqlite.claims import name_taken
from agentd.ledger.sqlite.connection import Database
from agentd.ledger.sqlite.rows import claims_of, facets_of, holding


def foresee(database: Database, request: ClaimRequest) -> Prospect:
    """See the protocol."""
    own = holding(database, str(request.subject))
    facets = facets_of(own)
    claims = claims_of(own, facets)
    desired = {name: facet.desired for name, facet in facets.items()}
    return (
        judge(request, claims)
        or name_taken(database, request)
        or Foreseen(newest(request, claims), desired_after(request, claims, desired))
    )
