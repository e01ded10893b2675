"""Who should hold which shard, decided by the table alone."""

from hypothesis import given
from hypothesis import strategies as st

from agentd.reconcile import sharing
from agentd.reconcile.sharing import Member, share

NOW = 1000.0


def test_a_replica_alone_takes_everything() -> None:
    assert share({}, "a", count=4, now=NOW) == {0, 1, 2, 3}


def test_one_who_comes_takes_nothing_before_the_other_has_given_back() -> None:
    table = sharing.renewed({}, "a", frozenset(range(4)), now=NOW, until=NOW + 30)
    assert share(table, "b", count=4, now=NOW) == frozenset()
    table = sharing.renewed(table, "b", frozenset(), now=NOW, until=NOW + 30)
    assert share(table, "a", count=4, now=NOW) == {0, 1}
    table = sharing.renewed(table, "a", frozenset({0, 1}), now=NOW, until=NOW + 30)
    assert share(table, "b", count=4, now=NOW) == {2, 3}


def test_what_a_dead_one_held_is_free_once_its_lease_has_ended() -> None:
    table = {"a": Member(NOW + 30, frozenset({0, 1})), "b": Member(NOW + 10, frozenset({2, 3}))}
    assert share(table, "a", count=4, now=NOW + 9) == {0, 1}
    assert share(table, "a", count=4, now=NOW + 10) == {0, 1, 2, 3}


def test_the_table_is_the_same_once_it_has_been_in_the_ledger() -> None:
    table = {"b": Member(NOW, frozenset({3, 1})), "a": Member(NOW + 1)}
    assert sharing.table_from(sharing.table_json(table)) == table
    assert sharing.table_json({}) is None
    assert sharing.table_from(None) == {}


@given(
    count=st.integers(1, 9),
    turns=st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["renew", "leave"])), max_size=30),
)
def test_whatever_comes_in_turn_no_two_hold_the_same_and_in_the_end_all_is_held(
    count: int, turns: list[tuple[str, str]]
) -> None:
    table: sharing.Table = {}

    def renew(replica: str) -> None:
        nonlocal table
        wanted = share(table, replica, count=count, now=NOW)
        table = sharing.renewed(table, replica, wanted, now=NOW, until=NOW + 30)
        held = [shard for member in table.values() for shard in member.shards]
        assert len(held) == len(set(held))
        assert set(held) <= set(range(count))

    for replica, what in turns:
        if what == "renew":
            renew(replica)
        else:
            table = sharing.without(table, replica)
    there = sorted(table) or ["a"]
    for _ in range(2):
        for replica in there:
            renew(replica)
    assert {shard for member in table.values() for shard in member.shards} == set(range(count))
    assert max(len(member.shards) for member in table.values()) <= -(-count // len(there))
