"""What replicas have done to the ledger, in true time: claims and ends, as the ledger's file took them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentd.events import Event, Malformed, attach, decode
from agentd.ledger import Claimed, Record
from tests.simulation.model import Json, SubjectModel
from tests.simulation.plan import Intent
from tests.simulation.process import Process


@dataclass(frozen=True, slots=True)
class Grant:
    """A claim that was granted. `generation` is the one that its fence has."""

    at: float
    process: Process
    intent: Intent
    key: str
    epoch: int
    subject: str
    token: int
    attempt: int
    generation: int

    @property
    def most_attempts(self) -> int:
        """What its handler may make."""
        return self.process.around.handlers[self.intent.data_class.type].retry.max_attempts


@dataclass(frozen=True, slots=True)
class End:
    """The end of an epoch."""

    at: float
    process: Process
    record: Record


@dataclass(slots=True)
class Book:
    """Everything of one run. `models` are of the subjects, `latest` is the last grant of each.

    `received` is when a message for an epoch was first handed out.
    """

    intents: dict[str, list[Intent]]
    models: dict[str, SubjectModel] = field(default_factory=dict)
    grants: list[Grant] = field(default_factory=list)
    ends: dict[tuple[str, int], End] = field(default_factory=dict)
    latest: dict[str, Grant] = field(default_factory=dict)
    received: dict[tuple[str, int], float] = field(default_factory=dict)
    _decoded: dict[str, Event | None] = field(default_factory=dict)
    _meant: dict[str, Intent] = field(default_factory=dict)

    def model(self, subject: str) -> SubjectModel:
        """Of one subject."""
        return self.models.setdefault(subject, SubjectModel())

    def intent(self, key: str) -> Intent | None:
        """What the control plane meant by a record's key; None for what is no event."""
        found = self.intents.get(key.removeprefix("event/"))
        return found[0] if found else None

    def granted(self, at: float, process: Process, claimed: Claimed) -> Grant | None:
        """Take a claim in. Models are not changed yet."""
        claim = claimed.claim
        intent = self.intent(claim.key)
        if intent is None:
            return None
        grant = Grant(
            at,
            process,
            intent,
            claim.key,
            claim.epoch,
            str(claim.subject),
            claim.token,
            claimed.attempt,
            claimed.generation,
        )
        self.grants.append(grant)
        return grant

    def apply(self, grant: Grant) -> None:
        """The models follow a grant."""
        self.latest[grant.subject] = grant
        self.model(grant.subject).claim(grant.intent, self.desired(grant.intent))

    def ended(self, at: float, process: Process, record: Record) -> End | None:
        """Take an end in; None when it is known."""
        key = (record.key, record.epoch)
        if record.outcome is None or key in self.ends:
            return None
        self.ends[key] = end = End(at, process, record)
        return end

    def end_of(self, key: str) -> End | None:
        """The end of the newest epoch."""
        found = [end for (known, _), end in self.ends.items() if known == key]
        return found[-1] if found else None

    def grants_of(self, slot: int, event_id: str | None, until: float) -> list[Grant]:
        """What a replica was granted of an event until then, newest first."""
        return [
            grant
            for grant in reversed(self.grants)
            if grant.process.slot == slot and grant.intent.event_id == event_id and grant.at <= until
        ]

    def desired(self, intent: Intent) -> Mapping[str, Json]:
        """What an intent wants, by facet."""
        event = self.event(intent.text)
        return {} if event is None or event.data is None or event.data.deletes else event.data.desired()

    def meant(self, body: str) -> Intent | None:
        """What the sender of a body meant."""
        if not self._meant:
            self._meant = {intent.text: intent for intents in self.intents.values() for intent in intents}
        return self._meant.get(body)

    def add(self, intent: Intent) -> None:
        """The control plane has one more event."""
        self.intents[intent.event_id] = [intent]
        self._meant[intent.text] = intent

    def _read(self, body: str) -> Event | None:
        try:
            event = decode(body)
        except Malformed:
            return None
        intent = self.meant(body)
        return event if intent is None or intent.kept is None else attach(event, intent.kept)

    def event(self, body: str) -> Event | None:
        """A message's event; None for what is none."""
        if body not in self._decoded:
            self._decoded[body] = self._read(body)
        return self._decoded[body]
