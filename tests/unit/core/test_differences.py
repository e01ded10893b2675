"""Two states of an object, field by field."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.core import FieldChange, differences

_KEYS = st.text("ab.", min_size=1, max_size=2)
_JSON = st.recursive(
    st.integers(0, 3) | st.sampled_from(("x", "y")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_KEYS, inner, max_size=3)
        | st.lists(st.fixed_dictionaries({"name": st.sampled_from(("p", "q", "r")), "value": inner}), max_size=3)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"spec": {"replicas": 1}}, {"spec": {"replicas": 2}}, [("spec.replicas", 1, 2)]),
        ({}, {"labels": {"a.b/c": "x"}}, [('labels["a.b/c"]', None, "x")]),
        ({"a": {"b": 1}}, {"a": {}}, [("a.b", 1, None)]),
        ({"rules": [{"verbs": ["get"]}]}, {"rules": [{"verbs": ["list"]}]}, [("rules[0].verbs", ["get"], ["list"])]),
        ({"ports": [1]}, {"ports": [1, 2]}, [("ports", [1], [1, 2])]),
        (
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "A", "value": "2"}, {"name": "B"}]},
            [("env[name=A].value", "1", "2"), ("env[name=B].name", None, "B")],
        ),
        (
            {"env": [{"name": "A"}, {"name": "B"}]},
            {"env": [{"name": "B"}, {"name": "A"}]},
            [("env[0].name", "A", "B"), ("env[1].name", "B", "A")],
        ),
        (None, {"a": {}}, [("a", None, {})]),
        ({"a": {"b": 1}}, {"a": "text"}, [("a", {"b": 1}, "text")]),
    ],
)
def test_each_difference_is_told_at_its_own_place(before: Any, after: Any, told: list[tuple[str, Any, Any]]) -> None:
    assert differences(before, after) == tuple(FieldChange(*change) for change in told)


@given(_JSON, _JSON)
def test_equal_states_and_only_they_have_no_difference(before: Any, after: Any) -> None:
    assert differences(before, before) == ()
    assert (differences(before, after) == ()) == (before == after)


@given(_JSON, _JSON)
def test_the_way_back_is_the_same_way(before: Any, after: Any) -> None:
    there = {(change.path, change.before, change.after) for change in map(_frozen, differences(before, after))}
    back = {(change.path, change.after, change.before) for change in map(_frozen, differences(after, before))}
    assert there == back


@given(_JSON, _JSON)
def test_no_place_is_told_twice(before: Any, after: Any) -> None:
    paths = [change.path for change in differences(before, after)]
    assert len(paths) == len(set(paths))


def _frozen(change: FieldChange) -> FieldChange:
    """With values that can be put in a set."""
    return FieldChange(change.path, repr(change.before), repr(change.after))
