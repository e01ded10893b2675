"""The port behind the clouds' ledgers: every sentence of it, also for the store in memory that stands in for them."""

import random
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from agentd.core import AzureConfig, system_runtime
from agentd.ledger.azure_table import AzureTableStore
from agentd.ledger.config import AzureTableConfig, DynamoDbConfig
from agentd.ledger.documents import Change, Conflicted, Delete, DocumentStore, Expected, Place, Put
from agentd.ledger.dynamodb import DynamoDbStore
from tests.conformance.ledger.memory_store import Memory, MemoryStore
from tests.servers import AwsServer, AzureServer

Make = Callable[[pytest.FixtureRequest, Path], Coroutine[Any, Any, DocumentStore]]
ONE, TWO, THREE = (Place("some/partition", f"name-{number}") for number in (1, 2, 3))


async def memory(_request: pytest.FixtureRequest, _folder: Path) -> DocumentStore:
    """In memory."""
    return MemoryStore(Memory())


async def dynamodb(request: pytest.FixtureRequest, _folder: Path, server_name: str = "ministack") -> DocumentStore:
    """A table of its own."""
    server: AwsServer = request.getfixturevalue(server_name)
    runtime = system_runtime()
    config = DynamoDbConfig(call_timeout_s=30, table=f"store-{runtime.new_id()}")
    store = DynamoDbStore(config, server.aws, runtime, request.getfixturevalue("aws_session"))
    await store.open(create=True)
    return store


async def dynamodb_by_moto(request: pytest.FixtureRequest, folder: Path) -> DocumentStore:
    """A second opinion; for the ledgers themselves it is too slow: each transaction copies the table."""
    return await dynamodb(request, folder, "moto")


async def azure_table(request: pytest.FixtureRequest, folder: Path) -> DocumentStore:
    """A partition of its own."""
    server: AzureServer = request.getfixturevalue("azurite")
    runtime = system_runtime()
    secret = folder / "connection-string"
    secret.write_text(server.connection_string)
    config = AzureTableConfig(account_url=server.table_url, table="stores", partition=runtime.new_id())
    store = AzureTableStore(config, AzureConfig(connection_string_file=secret))
    await store.open(create=True)
    return store


STORES: dict[str, Make] = {
    "memory": memory,
    "dynamodb": dynamodb,
    "dynamodb_by_moto": dynamodb_by_moto,
    "azure_table": azure_table,
}


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] if name != "memory" else []) for name in STORES])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DocumentStore]:
    """An empty store."""
    store = await STORES[request.param](request, tmp_path)
    yield store
    await store.close()


def new_id() -> str:
    """A write's id."""
    return uuid4().hex[:24]


async def version_of(store: DocumentStore, place: Place) -> str:
    """The version of a document that is there."""
    return (await store.get([place]))[place].version


async def test_what_is_written_is_read(store: DocumentStore) -> None:
    assert await store.get([ONE]) == {}
    first, second = new_id(), new_id()
    await store.write([Put(ONE, b"one", Expected.ABSENT), Put(TWO, b"\x00\xff", Expected.ANYTHING)], first)
    found = await store.get([THREE, TWO, ONE])
    assert {place: (stored.place, stored.body, stored.written_by) for place, stored in found.items()} == {
        ONE: (ONE, b"one", first),
        TWO: (TWO, b"\x00\xff", first),
    }
    await store.write([Put(ONE, b"", found[ONE].version)], second)
    (again,) = (await store.get([ONE])).values()
    assert (again.body, again.written_by) == (b"", second)
    assert again.version != found[ONE].version


@pytest.mark.parametrize("with_others", [False, True])
@pytest.mark.parametrize("kind", [Put, Delete])
@pytest.mark.parametrize("state", ["absent", "as read", "changed"])
@pytest.mark.parametrize("expected", [Expected.ABSENT, Expected.ANYTHING, "version"])
async def test_a_change_is_made_on_its_condition(
    store: DocumentStore, state: str, kind: type[Put | Delete], expected: str | Expected, *, with_others: bool
) -> None:
    await store.write([Put(ONE, b"first", Expected.ABSENT)], new_id())
    version = await version_of(store, ONE)
    if state == "changed":
        await store.write([Put(ONE, b"second", version)], new_id())
    elif state == "absent":
        await store.write([Delete(ONE, version)], new_id())
    condition = expected if isinstance(expected, Expected) else version
    change = Put(ONE, b"third", condition) if kind is Put else Delete(ONE, condition)
    holds = state == "as read"
    if isinstance(expected, Expected):
        holds = expected is Expected.ANYTHING or state == "absent"
    if kind is Delete and expected is Expected.ABSENT:
        return  # nobody removes what is not to be there
    changes: list[Change] = [change, *([Put(TWO, b"other", Expected.ANYTHING)] if with_others else [])]
    before = await store.get([ONE, TWO])
    if holds:
        await store.write(changes, new_id())
        assert (ONE in await store.get([ONE, TWO])) is (kind is Put)
        assert (TWO in await store.get([ONE, TWO])) is with_others
    else:
        with pytest.raises(Conflicted):
            await store.write(changes, new_id())
        assert await store.get([ONE, TWO]) == before, "all or nothing"


async def test_removing_what_is_not_there_is_no_fault(store: DocumentStore) -> None:
    await store.write([Delete(ONE, Expected.ANYTHING)], new_id())
    await store.write([Delete(ONE, Expected.ANYTHING), Delete(TWO, Expected.ANYTHING)], new_id())
    changes: list[Change] = [
        Delete(ONE, Expected.ANYTHING),
        Put(TWO, b"two", Expected.ABSENT),
        Delete(THREE, Expected.ANYTHING),
    ]
    await store.write(changes, new_id())
    assert set(await store.get([ONE, TWO, THREE])) == {TWO}
    with pytest.raises(Conflicted):
        await store.write(changes, new_id())


async def test_a_write_takes_as_many_changes_as_the_store_says(store: DocumentStore) -> None:
    places = [Place("many", f"{number:03d}") for number in range(store.limits.changes)]
    await store.write([Put(place, bytes(5_000), Expected.ABSENT) for place in places], new_id())
    found = await store.get(places)
    assert len(found) == len(places)
    await store.write([Delete(place, found[place].version) for place in places], new_id())
    assert await store.get([*places, ONE]) == {}


async def test_a_body_may_be_as_large_as_the_store_says(store: DocumentStore) -> None:
    body = random.Random(1).randbytes(store.limits.body_bytes)
    await store.write([Put(ONE, body, Expected.ABSENT)], new_id())
    assert (await store.get([ONE]))[ONE].body == body
    assert [stored.body for stored in await store.range(ONE.partition)] == [body]


async def test_a_range_is_in_the_order_of_names(store: DocumentStore) -> None:
    names = ["a-b", "a.b", "a/b", "a0b", "a:b", "aAb", "a_b", "aab", "a~b", "a", "b/x", "0" * 18 + "~event/x-1"]
    places = [Place("sorted/one", name) for name in names]
    others = [Place(partition, "a") for partition in ("sorted", "sorted/one/two", "sorted/on", "sorted/one~", "s")]
    await store.write([Put(place, b"x", Expected.ABSENT) for place in [*places, *others]], new_id())

    async def found(first: str = "", before: str | None = None, limit: int | None = None) -> list[str]:
        listed = await store.range("sorted/one", first=first, before=before, limit=limit)
        assert all(stored.place.partition == "sorted/one" for stored in listed)
        return [stored.place.name for stored in listed]

    ordered = sorted(names)
    assert await found() == ordered
    for first in ("", "a", "a/", "a/b", "a0", "z"):
        for before in (None, "a", "a:", "a~", "b/x", "zz"):
            expected = [name for name in ordered if name >= first and (before is None or name < before)]
            if before is not None and before <= first:
                continue
            assert await found(first, before) == expected
            assert await found(first, before, 3) == expected[:3]
    assert [stored.place.name for stored in await store.range("sorted")] == ["a"]
    assert await store.range("none") == []


async def test_a_long_range_is_read_to_its_end(store: DocumentStore) -> None:
    """A page of Azure has a thousand entities at most, one of DynamoDB a mebibyte."""
    names = [f"{number:05d}" for number in range(1150)]
    for start in range(0, len(names), store.limits.changes):
        some = names[start : start + store.limits.changes]
        await store.write([Put(Place("long", name), bytes(2000), Expected.ABSENT) for name in some], new_id())
    assert [stored.place.name for stored in await store.range("long")] == names
    assert [stored.place.name for stored in await store.range("long", first="00100", limit=1020)] == names[100:1120]


async def test_names_may_be_long(store: DocumentStore) -> None:
    place = Place("p" * 180, "n" * 200)
    await store.write([Put(place, b"x", Expected.ABSENT), Put(ONE, b"y", Expected.ABSENT)], new_id())
    assert set(await store.get([place])) == {place}
    assert [stored.place for stored in await store.range(place.partition)] == [place]
