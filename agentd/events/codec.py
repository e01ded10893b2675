"""From a message's text to a typed event, and back. Pure: no clock, no I/O.

Errors name the path, what was found and what is allowed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import rfc8785
from pydantic import ValidationError
from pydantic_core import from_json, to_json

from agentd.core import PermanentError, Reason, Subject, lean
from agentd.events.catalogue import CATALOGUE
from agentd.events.data import EventData
from agentd.events.envelope import MAX_SAFE_INTEGER, DataRef, Envelope
from agentd.events.problems import explain, found

Json = Any  # a JSON value of whatever shape

# Neither digested nor signed: a signature is over the digest's input, and a trace may differ when the same event is sent again.
_NOT_SAID = frozenset({"signature", "traceparent", "tracestate"})


class Malformed(PermanentError):
    """The message is no event of this contract. Carries what could be learnt of it all the same."""

    def __init__(
        self, message: str, *, reason: Reason = Reason.MALFORMED, attributes: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(reason, message)
        self.attributes = attributes or {}


class _Special(ValueError):
    """A value is spelt, or ordered, in canonical JSON's own way."""


class UnknownType(Malformed):
    """A valid envelope of a type, or a version of it, that this agent does not know."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom events must be meant for."""

    tenant_id: str
    cluster_id: str


@lean(frozen=True, slots=True)
class Event:
    """A decoded event. `data` is None until a claim check has been fetched (see `attach`).

    `canonical` is what the event says, as bytes: what its digest and its signature are taken over.
    """

    envelope: Envelope
    subject: Subject
    data_class: type[EventData]
    data: EventData | None
    digest: str
    text: str
    canonical: bytes = field(repr=False)

    @property
    def flow(self) -> str:
        """What the event competes under for running places: its environment or project, else its own subject."""
        return (self.data.flow() if self.data is not None else None) or self.envelope.subject

    @property
    def plans(self) -> bool:
        """Whether it only asks what it would change. Not known before a claim check has been fetched."""
        return self.data is not None and self.data.plan

    @property
    def key(self) -> str:
        """The ledger's key of a verified event."""
        return f"event/{self.envelope.id}"


def decode(text: str) -> Event:
    """Read a structured-mode CloudEvent. Raises Malformed or UnknownType; nothing else."""
    document = parse(text)
    try:
        envelope = Envelope.model_validate_json(text)
    except ValidationError as error:
        raise Malformed(explain(error), attributes=document) from error
    data_class = CATALOGUE.get(envelope.type)
    if data_class is None:
        raise UnknownType(
            f"type: found {envelope.type!r}; this agent knows {', '.join(sorted(CATALOGUE))}",
            reason=Reason.UNKNOWN_TYPE,
            attributes=document,
        )
    subject = Subject.parse(envelope.subject)
    if subject.kind != data_class.kind():
        raise Malformed(
            f"subject: found kind {subject.kind!r}; {envelope.type} is about a {data_class.kind()!r}",
            attributes=document,
        )
    has_data = "data" in document
    if has_data == (envelope.claim_check is not None):
        raise Malformed("data: expected exactly one of data and dataref", attributes=document)
    data = _data(envelope, subject, data_class, document["data"]) if has_data else None
    said = canonical(document)
    return Event(envelope, subject, data_class, data, "sha256:" + hashlib.sha256(said).hexdigest(), text, said)


def attach(event: Event, fetched: bytes) -> Event:
    """The event with the data that its claim check named. PermanentError(data_unavailable) unless size and digest fit."""
    ref = event.envelope.claim_check
    if ref is None:
        return event
    _verify(ref, fetched)
    try:
        value = from_json(fetched, allow_inf_nan=False)
    except ValueError as error:
        raise Malformed(f"data: no JSON behind {ref.uri}: {error}") from error
    return replace(event, data=_data(event.envelope, event.subject, event.data_class, value))


def encode(envelope: Mapping[str, Any], data: Mapping[str, Any] | None) -> str:
    """A CloudEvent in structured JSON; attributes that are None are left out."""
    document = {name: value for name, value in envelope.items() if value is not None}
    if data is not None:
        document["data"] = data
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def canonical(document: Mapping[str, Any]) -> bytes:
    """The canonical JSON (RFC 8785) of what a CloudEvent says: all of it but its signature and its trace."""
    said = {name: value for name, value in document.items() if name not in _NOT_SAID}
    try:
        return to_json(_in_order(said))
    except _Special:
        return _spelt_out(said)


def parse(text: str) -> dict[str, Any]:
    """The JSON object of a structured-mode CloudEvent. Raises Malformed."""
    try:
        # Encoded here: half of a surrogate pair is a ValueError then, like everything else that is no JSON.
        document = from_json(text.encode(), allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise Malformed(f"$: no JSON: {error}; found {found(text)}") from error
    if not isinstance(document, dict):
        raise Malformed(f"$: expected an object with the CloudEvents attributes; found {found(document)}")
    return document


def _spelt_out(said: dict[str, Json]) -> bytes:
    try:
        return rfc8785.dumps(said)
    except rfc8785.CanonicalizationError as error:
        raise Malformed(f"$: has no canonical form (RFC 8785): {error}", attributes=said) from error


def _in_order(value: Json) -> Json:
    """The value, the names of its objects in order: written without spaces it is canonical. Raises _Special when it is not.

    That is so of all but floats, large integers and names beyond ASCII, and many times faster than writing those as well.
    """
    if isinstance(value, dict):
        if not "".join(value).isascii():
            raise _Special
        return {name: item if isinstance(item := value[name], str) else _in_order(item) for name in sorted(value)}
    if isinstance(value, list):
        return [_in_order(item) for item in value]
    if isinstance(value, float) or (isinstance(value, int) and abs(value) > MAX_SAFE_INTEGER):
        raise _Special
    return value


def _data(envelope: Envelope, subject: Subject, data_class: type[EventData], value: object) -> EventData:
    try:
        # Through JSON: strict mode then takes JSON's own spelling of enums and times, and nothing looser.
        data = data_class.model_validate_json(to_json(value))
    except ValidationError as error:
        raise Malformed(explain(error, ("data",)), attributes=_names(envelope)) from error
    own_field, own_id = data.own_id()
    if own_id != subject.uuid:
        message = f"data.{own_field}: found {own_id!r}; expected the subject's own {subject.uuid!r}"
        raise Malformed(message, attributes=_names(envelope))
    return data


def _names(envelope: Envelope) -> Mapping[str, Any]:
    return envelope.model_dump(mode="json", include={"id", "type", "subject", "source"})


def _verify(ref: DataRef, fetched: bytes) -> None:
    digest = "sha256:" + hashlib.sha256(fetched).hexdigest()
    if len(fetched) != ref.size or digest != ref.digest:
        raise PermanentError(
            Reason.DATA_UNAVAILABLE,
            f"dataref {ref.uri}: found {len(fetched)} bytes, {digest}; the event promises {ref.size} bytes, {ref.digest}",
        )
