"""Faults that embedded servers show on demand, so that nothing in the product needs a hook for tests."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class FaultKind(StrEnum):
    """What happens to a call that a fault meets."""

    ERROR = "error"
    """It has no effect; the answer is an error as the service itself would give it."""
    ANSWER = "answer"
    """It has no effect; the answer is `body`, with HTTP status 200: a batch of which some entries failed, for example."""
    DELAY = "delay"
    """It is carried out, but later."""
    DROP_BEFORE = "drop_before"
    """It has no effect; the connection is closed without an answer."""
    DROP_AFTER = "drop_after"
    """It is carried out; the connection is closed without an answer."""


class Fault(BaseModel):
    """Which calls are met, what happens to them, and how often.

    An absent `service` or `operation` is any. A call is met when `contains` is part of its path, query or body.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: FaultKind
    """What happens."""
    service: str | None = None
    """As in an endpoint's name: ecr, sqs, s3. Of Kubernetes the resource: pods, deployments/scale."""
    operation: str | None = None
    """As the API calls it: CreateRepository. Of Kubernetes the verb: get, list, watch, create, update, patch, delete."""
    contains: str = ""
    """A part of the request."""
    times: Annotated[int, Field(ge=1)] | None = 1
    """How many calls are met; None for every one."""
    delay_s: Annotated[float, Field(ge=0)] = 0.0
    """How long the call waits first, whatever the kind."""
    status: Annotated[int, Field(ge=400, le=599)] = 400
    """HTTP status of an error."""
    code: str = "InternalFailure"
    """AWS error code of an error, for example ThrottlingException. Of Kubernetes the reason, unless the status tells it."""
    message: str = "Injected fault."
    """Message of an error."""
    body: str = ""
    """The whole answer, in the service's own spelling."""
    retry_after_s: Annotated[int, Field(ge=0)] | None = None
    """The Retry-After header of an error."""

    @model_validator(mode="after")
    def _delays(self) -> Self:
        if self.kind is FaultKind.DELAY and not self.delay_s:
            raise ValueError("a delay needs delay_s")
        return self

    def meets(self, service: str, operation: str, text: str) -> bool:
        """Whether a call is of the kind that the fault waits for."""
        return self.service in (None, service) and self.operation in (None, operation) and self.contains in text


@dataclass(slots=True)
class _Entry:
    fault: Fault
    hits: int = 0

    def is_spent(self) -> bool:
        return self.fault.times is not None and self.hits >= self.fault.times


class FaultBook:
    """The faults in force. A call meets the oldest one that is not used up; a spent one stays listed until it is cleared."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._numbers = count(1)

    def add(self, fault: Fault) -> str:
        """Put a fault in force, and return its id."""
        fault_id = str(next(self._numbers))
        self._entries[fault_id] = _Entry(fault)
        return fault_id

    def clear(self, fault_ids: Iterable[str] | None = None) -> None:
        """Lift these faults, or all."""
        for fault_id in list(self._entries) if fault_ids is None else list(fault_ids):
            self._entries.pop(fault_id, None)

    def take(self, service: str, operation: str, text: str) -> Fault | None:
        """The fault that this call meets, counted as met."""
        for entry in self._entries.values():
            if not entry.is_spent() and entry.fault.meets(service, operation, text):
                entry.hits += 1
                return entry.fault
        return None

    def hits(self) -> dict[str, int]:
        """How many calls each fault has met."""
        return {fault_id: entry.hits for fault_id, entry in self._entries.items()}
