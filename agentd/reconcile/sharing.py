"""Who holds which shard: the table that replicas share, and what a replica makes of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Any  # the table as the ledger keeps it: replica to [until, shards]


@dataclass(frozen=True, slots=True)
class Member:
    """A replica that is there, and the shards that it holds until then."""

    until: float
    shards: frozenset[int] = frozenset()


Table = Mapping[str, Member]


def table_from(value: Json) -> Table:
    """The table; None is an empty one."""
    return {replica: Member(until, frozenset(shards)) for replica, (until, shards) in (value or {}).items()}


def table_json(table: Table) -> Json:
    """As the ledger keeps it; None of an empty one."""
    return {replica: [member.until, sorted(member.shards)] for replica, member in sorted(table.items())} or None


def living(table: Table, *, now: float) -> Table:
    """Those whose lease has not ended. `now` is late by what clocks may differ."""
    return {replica: member for replica, member in table.items() if member.until > now}


def share(table: Table, replica: str, *, count: int, now: float) -> frozenset[int]:
    """The shards, of `count`, that the replica should hold: its fair part.

    It keeps what it holds up to that, so that shards stay where they are, and takes beside it only what nobody holds.
    Until somebody who holds more than a fair part has given back, a replica that has just come has less.
    """
    others = {name: member for name, member in living(table, now=now).items() if name != replica}
    fair = -(-count // (len(others) + 1))
    taken = frozenset().union(*(member.shards for member in others.values()))
    own = table[replica].shards if replica in table else frozenset()
    free = set(range(count)) - taken
    kept = sorted(own & free)[:fair]
    more = sorted(free - own)[: fair - len(kept)]
    return frozenset((*kept, *more))


def renewed(table: Table, replica: str, shards: frozenset[int], *, now: float, until: float) -> Table:
    """The table once the replica holds these shards until then, without those whose lease has ended."""
    return {**living(table, now=now), replica: Member(until, shards)}


def without(table: Table, replica: str) -> Table:
    """The table once the replica has gone."""
    return {name: member for name, member in table.items() if name != replica}
