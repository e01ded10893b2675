"""What the simulated services of AWS share: how they answer and refuse, how writes are entered, and the SDK's client."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar

from botocore import xform_name
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.simulation.world.faults import FaultKind
from tests.simulation.world.gate import Gate, Says
from tests.simulation.world.shelf import Shelf
from tests.simulation.world.truth import NO_MARKS, About, Api, Asked, Books, Marks, Seen, own_tags

# Requests and answers in the SDK's own shapes: its service models know them, see test_aws_shapes.py.
Request = Mapping[str, Any]
Answer = dict[str, Any]

ACCOUNT = "111122223333"
# What the SDK repeats by itself, of what these services answer here. Source: botocore's standard retry mode.
_REPEATED = frozenset({"Throttling", "ThrottlingException", "ServerException", "ServiceFailure"})
_ATTEMPTS = 4
_LONGEST_PAUSE_S = 20.0


@dataclass(frozen=True, slots=True)
class Thing:
    """An object of a service. Never changed in place."""

    name: str
    arn: str
    created_s: float
    tags: Mapping[str, str]

    @property
    def marks(self) -> Marks:
        """Whose it is."""
        return Marks.of_tags(self.tags)


T = TypeVar("T", bound=Thing)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: what the server does when it arrives, and whether that may change anything."""

    name: str
    carry_out: Callable[[Asked, Request], Answer]
    is_write: bool


class Service(ABC, Generic[T]):
    """A service without a conditional write: its objects, and every write that reached them."""

    def __init__(self, books: Books, wall: Callable[[], float]) -> None:
        self.shelf: Shelf[T] = Shelf()
        self._books = books
        self._wall = wall

    @abstractmethod
    def operations(self) -> Mapping[str, Operation]:
        """All that it does, by the name of the client's method."""

    @abstractmethod
    def seen(self) -> Sequence[Seen]:
        """Its objects, for comparison."""

    @abstractmethod
    def missing(self, name: str, operation: str) -> ClientError:
        """How it says that there is no such object."""

    def found(self, name: str, asked: Asked) -> T:
        """The object as a read shows it. Raises ClientError."""
        thing = self.shelf.get(name, asked.lag_s)
        if thing is None:
            raise self.missing(name, asked.operation)
        return thing

    def create(self, asked: Asked, name: str, about: About, make: Callable[[T | None], T]) -> T:
        """Enter a creation; `make` is given what is there, to refuse it."""
        before = self.shelf.get(name)
        with self._refusals(asked, about, before):
            after = make(before)
        self.shelf.put(name, after)
        self._enter(asked, about, before, after)
        return after

    def change(self, asked: Asked, name: str, about: About, alter: Callable[[T], T | None]) -> T | None:
        """Enter a change of what is there, or its end; `alter` may refuse. What the past did not have yet is missing."""
        before = self.shelf.get(name)
        with self._refusals(asked, about, before):
            if before is None or (asked.lag_s and self.shelf.get(name, asked.lag_s) is None):
                raise self.missing(name, asked.operation)
            after = alter(before)
        if before != after:
            self.shelf.put(name, after)
        self._enter(asked, about, before, after)
        return after

    def _enter(self, asked: Asked, about: About, before: T | None, after: T | None) -> None:
        changed = before != after
        self._books.enter(
            asked,
            about,
            _marks(before),
            _marks(after),
            changed=changed,
            stamp=changed and before is not None and after is not None and _bare(before) == _bare(after),
        )

    @contextmanager
    def _refusals(self, asked: Asked, about: About, before: T | None) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            held = _marks(before)
            self._books.enter(asked, about, held, held, refusal=error.response["Error"]["Code"])
            raise


class Client:
    """The SDK's client of a service, with its methods. With `retries` it repeats what fails in passing, as the SDK does."""

    def __init__(self, operations: Mapping[str, Operation], gate: Gate, *, retries: bool) -> None:
        self._operations = operations
        self._gate = gate
        self._attempts = _ATTEMPTS if retries else 1

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Answer]]:
        """The method of an operation; the SDK makes them at run time, too."""
        try:
            return partial(self._call, self._operations[name])
        except KeyError as error:
            raise AttributeError(f"the simulated client has no {name}") from error

    async def _call(self, operation: Operation, **request: Any) -> Answer:
        def effect(asked: Asked) -> Answer:
            return {**operation.carry_out(asked, request), "ResponseMetadata": dict(_METADATA)}

        for attempt in range(1, self._attempts + 1):
            try:
                return await self._gate.call(operation.name, effect, is_write=operation.is_write)
            except (ClientError, ConnectionClosedError) as error:
                if attempt == self._attempts or not _passes(error):
                    raise
            await asyncio.sleep(self._gate.random.random() * min(2.0 ** (attempt - 1), _LONGEST_PAUSE_S))
        raise AssertionError("the last attempt ends in an answer or an error")


_METADATA = {"RequestId": "simulated", "HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0}


def refusal(code: str, message: str, operation: str, status: int = 400) -> ClientError:
    """An error of the service's own."""
    return ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {**_METADATA, "HTTPStatusCode": status},  # type: ignore[typeddict-item] # without a host id
        },
        operation,
    )


def speaker(service: str, throttled: tuple[str, int], unavailable: tuple[str, int], denied: tuple[str, int]) -> Says:
    """How a service refuses for reasons that have nothing to do with the request: code and status of each."""
    told = {
        FaultKind.THROTTLED: (*throttled, "Rate exceeded"),
        FaultKind.UNAVAILABLE: (*unavailable, "The service failed to process the request"),
        FaultKind.DENIED: (*denied, "User is not authorized to perform the operation on the resource"),
    }

    def says(kind: FaultKind, operation: str) -> Exception:
        if kind not in told:
            return ConnectionClosedError(endpoint_url=f"https://{service}.simulated/")
        code, status, message = told[kind]
        return refusal(code, message, operation, status)

    return says


def operations(
    reads: Mapping[str, Callable[[Asked, Request], Answer]], writes: Mapping[str, Callable[[Asked, Request], Answer]]
) -> dict[str, Operation]:
    """By the names of the client's methods."""
    made = [
        *(Operation(name, carry_out, is_write=False) for name, carry_out in reads.items()),
        *(Operation(name, carry_out, is_write=True) for name, carry_out in writes.items()),
    ]
    return {xform_name(operation.name): operation for operation in made}


def about(obj: str, carried: Mapping[str, str] | None = None) -> About:
    """A write to an object, and the tags that the request carries."""
    return About(Api.UNCONDITIONAL, obj, Marks.of_tags(carried) if carried else NO_MARKS)


def read_tags(tag_list: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Tags of a request."""
    return {tag["Key"]: tag["Value"] for tag in tag_list}


def tag_list(found: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags of an answer."""
    return [{"Key": key, "Value": value} for key, value in found.items()]


def cut(items: Sequence[Any], start: str | None, most: int) -> tuple[Sequence[Any], str | None]:
    """One page of a listing, and where the next one begins."""
    first = int(start or 0)
    return items[first : first + most], str(first + most) if first + most < len(items) else None


def _marks(thing: Thing | None) -> Marks | None:
    return None if thing is None else thing.marks


def _bare(thing: Thing) -> Thing:
    return replace(thing, tags=own_tags(thing.tags))


def _passes(error: ClientError | ConnectionClosedError) -> bool:
    return isinstance(error, ConnectionClosedError) or error.response["Error"]["Code"] in _REPEATED
