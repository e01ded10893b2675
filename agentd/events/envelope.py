"""The CloudEvents 1.0 envelope, as this contract narrows it.

Source: CloudEvents 1.0.2 (required attributes, extension naming), its `dataref` and distributed-tracing extensions, and
RFC 3339 for times.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from agentd.core import Subject

# The largest integer that every JSON reader keeps exactly (RFC 8259, section 6).
MAX_SAFE_INTEGER = 2**53 - 1
TYPE_PATTERN = r"^conveyor\.[a-z]+\.[a-z]+\.v[1-9][0-9]*$"
UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
SHA256_PATTERN = r"^sha256:[0-9a-f]{64}$"

Uuid = Annotated[str, StringConstraints(pattern=UUID_PATTERN)]


def _subject(text: str) -> str:
    Subject.parse(text)
    return text


class DataRef(BaseModel):
    """A claim check: where the data is, how large, and its digest."""

    model_config = ConfigDict(frozen=True)

    uri: str
    digest: str
    size: int


class Envelope(BaseModel):
    """Everything of a CloudEvent but its data. Unknown attributes are ignored (a newer sender)."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="ignore", use_attribute_docstrings=True, cache_strings="keys"
    )

    specversion: Literal["1.0"]
    """The CloudEvents version."""
    id: Uuid
    """Unique per event; with the event's digest it is the idempotency key."""
    source: Annotated[str, StringConstraints(min_length=1, max_length=2048)]
    """URI of the control plane that asks."""
    type: Annotated[str, StringConstraints(pattern=TYPE_PATTERN, max_length=128)]
    """`conveyor.<subject>.<verb>.v<N>`."""
    subject: Annotated[str, AfterValidator(_subject), StringConstraints(max_length=128)]
    """`<kind>/<uuid>`: the unit of ordering; on FIFO queues the message group."""
    time: AwareDatetime
    """When the control plane made the event (RFC 3339)."""
    datacontenttype: Literal["application/json"] = "application/json"
    """The media type of `data`."""
    dataschema: Annotated[str, StringConstraints(max_length=2048)] | None = None
    """URI of the JSON Schema of `data`."""
    tenantid: Uuid
    """The tenant; must be this agent's own."""
    clusterid: Uuid
    """The cluster; must be this agent's own."""
    generation: Annotated[int, Field(ge=1, le=MAX_SAFE_INTEGER)]
    """Grows by at least 1 with every change of the subject's desired state."""
    expirytime: AwareDatetime | None = None
    """An event first admitted after it is rejected."""
    actor: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """Who asked, for the audit trail."""
    traceparent: (
        Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")] | None
    ) = None
    """W3C trace context: the trace that the event belongs to."""
    tracestate: Annotated[str, StringConstraints(max_length=512)] | None = None
    """W3C trace context: the vendors' part."""
    signature: Annotated[str, StringConstraints(max_length=8192)] | None = None
    """Detached JWS (EdDSA) over the canonical event."""
    planhash: Annotated[str, StringConstraints(max_length=128)] | None = None
    """The event is refused unless the world is still as it was when this plan was made."""
    dataref: Annotated[str, StringConstraints(min_length=1, max_length=2048)] | None = None
    """Claim check: URI of the data in the data plane's own artifact store, in place of `data`."""
    datadigest: Annotated[str, StringConstraints(pattern=SHA256_PATTERN)] | None = None
    """`sha256:<hex>` of the bytes behind `dataref`."""
    datasize: Annotated[int, Field(ge=2, le=MAX_SAFE_INTEGER)] | None = None
    """Bytes behind `dataref`."""

    @model_validator(mode="after")
    def _claim_check_is_whole(self) -> Self:
        if not (self.dataref is None) == (self.datadigest is None) == (self.datasize is None):
            raise ValueError("dataref, datadigest and datasize go together")
        return self

    @property
    def claim_check(self) -> DataRef | None:
        """Where the data is, when it does not travel in the message."""
        if self.dataref is None or self.datadigest is None or self.datasize is None:
            return None
        return DataRef(uri=self.dataref, digest=self.datadigest, size=self.datasize)
