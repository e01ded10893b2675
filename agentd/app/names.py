"""What a text names: an event or a subject, which the ledger knows, or an object of the cluster, which leads to one."""

from dataclasses import dataclass

from agentd.dispatch import Answer, explain
from agentd.ledger import Ledger
from agentd.platform import ClusterReader
from agentd.platform.origin import Origin, object_of, origin


@dataclass(frozen=True, slots=True)
class Named:
    """The ledger's answer, to `text`: what was asked for, or what the object's marks name.

    `origin` is None for what is no object, and for an object that is not there.
    """

    text: str
    answer: Answer
    origin: Origin | None = None


async def name(text: str, *, ledger: Ledger, cluster: ClusterReader | None, owner_id: str, now: float) -> Named:
    """What the text names. Raises AgentError when ledger or cluster do not answer."""
    ref = object_of(text)
    if ref is None or cluster is None:
        return Named(text, await explain(ledger, text, now=now))
    found = await origin(cluster, ref, owner_id=owner_id)
    for known in (found.event_id, found.subject) if found else ():
        if known is not None and (answer := await explain(ledger, known, now=now)).events:
            return Named(known, answer, found)
    return Named(text, Answer([], [], []), found)
