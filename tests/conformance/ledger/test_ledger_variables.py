"""Shared variables: compare and set."""

import asyncio

import pytest

from agentd.ledger import Ledger, Variable
from agentd.ledger.protocol import Json


async def version_of(ledger: Ledger, name: str) -> int:
    """The version of a variable that is set."""
    found = await ledger.variable(name)
    assert found is not None
    return found.version


async def test_what_is_set_is_read(ledger: Ledger, other: Ledger) -> None:
    assert await ledger.variable("budget") is None
    values: list[Json] = [{"left": 3, "of": [1, None, "ü"]}, "text", 0, False, [], 1.5]
    for number, value in enumerate(values):
        name = f"budget/{number}"
        assert await ledger.set_variable(name, value, version=None)
        found = await other.variable(name)
        assert found == Variable(value, await version_of(ledger, name))


async def test_a_variable_changes_only_from_the_version_that_was_read(ledger: Ledger, other: Ledger) -> None:
    assert await ledger.set_variable("pause", 1, version=None)
    first = await version_of(ledger, "pause")
    assert not await other.set_variable("pause", 2, version=None), "it is set"
    assert not await other.set_variable("pause", 2, version=first + 1)
    assert await ledger.variable("pause") == Variable(1, first)

    assert await other.set_variable("pause", 2, version=first)
    second = await version_of(ledger, "pause")
    assert second != first
    assert not await ledger.set_variable("pause", 3, version=first)
    assert await ledger.variable("pause") == Variable(2, second)
    assert not await ledger.set_variable("other", 3, version=first), "it is not set"
    assert await ledger.variable("other") is None


async def test_none_unsets(ledger: Ledger, other: Ledger) -> None:
    versions = set()
    for _ in range(5):
        assert await ledger.set_variable("pause", 1, version=None)
        version = await version_of(ledger, "pause")
        assert not await other.set_variable("pause", None, version=None)
        assert await other.set_variable("pause", None, version=version)
        assert await ledger.variable("pause") is None
        assert await ledger.variables("") == {}
        assert not await ledger.set_variable("pause", 2, version=version), "whoever read it before it was unset"
        versions.add(version)
    assert len(versions) == 5, "no version comes twice"
    assert await ledger.set_variable("never", None, version=None)
    assert await ledger.variable("never") is None


async def test_the_same_value_again_is_a_change(ledger: Ledger) -> None:
    await ledger.set_variable("pause", 1, version=None)
    before = await version_of(ledger, "pause")
    assert await ledger.set_variable("pause", 1, version=before)
    assert await version_of(ledger, "pause") != before


async def test_variables_are_listed_by_prefix_in_order(ledger: Ledger) -> None:
    names = ["a-b", "a.b", "a/b", "a0b", "a:b", "aAb", "a_b", "aab", "a", "b/x"]
    for name in reversed(names):
        await ledger.set_variable(name, name, version=None)
    found = await ledger.variables("a")
    assert list(found) == sorted(names[:-1])
    assert [variable.value for variable in found.values()] == sorted(names[:-1])
    assert list(await ledger.variables("")) == sorted(names)
    assert list(await ledger.variables("a/")) == ["a/b"]
    assert await ledger.variables("c") == {}
    assert found["a"] == await ledger.variable("a")


async def test_a_list_is_bounded(ledger: Ledger, other: Ledger) -> None:
    names = [f"watch/{number:04d}" for number in range(1005)]
    for some in (names[start : start + 50] for start in range(0, len(names), 50)):
        await asyncio.gather(*(ledger.set_variable(name, 1, version=None) for name in some))
    assert list(await other.variables("watch/")) == names[:1000]


@pytest.mark.parametrize("name", ["", "a b", "ä", "a~", "x" * 201, "a\n"])
async def test_what_is_no_name_is_refused(ledger: Ledger, name: str) -> None:
    with pytest.raises(ValueError, match="variable"):
        await ledger.set_variable(name, 1, version=None)
    with pytest.raises(ValueError, match="variable"):
        await ledger.variable(name)


async def test_names_and_values_may_be_long(ledger: Ledger) -> None:
    name, value = "x" * 200, "y" * (16 * 1024 - 2)
    assert await ledger.set_variable(name, value, version=None)
    assert (await ledger.variables("x"))[name].value == value
    with pytest.raises(ValueError, match="16384"):
        await ledger.set_variable(name, value + "y", version=await version_of(ledger, name))
    with pytest.raises(TypeError):
        await ledger.set_variable("object", object(), version=None)
    with pytest.raises(ValueError, match="JSON"):
        await ledger.set_variable("number", float("nan"), version=None)


async def test_no_change_of_several_replicas_is_lost(ledger: Ledger, other: Ledger) -> None:
    await ledger.set_variable("count", 0, version=None)

    async def add_one(replica: Ledger) -> None:
        while True:
            found = await replica.variable("count")
            assert found is not None
            if await replica.set_variable("count", found.value + 1, version=found.version):
                return

    await asyncio.gather(*(add_one((ledger, other)[number % 2]) for number in range(20)))
    found = await ledger.variable("count")
    assert found is not None
    assert found.value == 20
