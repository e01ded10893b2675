"""Merging, comparing and owning fields: what holds for any two values of a type."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.embedded.kube.schema import Type, definitions
from agentd.embedded.kube.typed import (
    compare,
    decode_fields,
    encode_fields,
    field_set,
    merge,
    shown_path,
    with_named_fields,
    without,
)

# Lists and maps that are there have something in them: the API keeps no others, and nobody owns them.
_WORDS = st.sampled_from(["a", "b", "c", "d"])


def _listed_by(key: str, items: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(items, min_size=1, max_size=3, unique_by=lambda item: item[key])


_ENV = st.fixed_dictionaries({"name": _WORDS}, optional={"value": _WORDS})
_PORT = st.fixed_dictionaries({"containerPort": st.integers(1, 4)}, optional={"name": _WORDS})
_CONTAINER = st.fixed_dictionaries(
    {"name": _WORDS},
    optional={
        "image": _WORDS,
        "args": st.lists(_WORDS, min_size=1, max_size=3),
        "env": _listed_by("name", _ENV),
        "ports": _listed_by("containerPort", _PORT),
        "resources": st.fixed_dictionaries({"limits": st.dictionaries(_WORDS, _WORDS, min_size=1, max_size=2)}),
    },
)
_SPEC = st.fixed_dictionaries(
    {},
    optional={
        "containers": _listed_by("name", _CONTAINER),
        "nodeSelector": st.dictionaries(_WORDS, _WORDS, min_size=1, max_size=3),
        "restartPolicy": _WORDS,
    },
)


def _type() -> Type:
    return definitions().type("io.k8s.api.core.v1.PodSpec")


@settings(deadline=None)
@given(_SPEC)
def test_fields_survive_their_encoding(spec: Any) -> None:
    fields = field_set(_type(), spec)
    assert decode_fields(encode_fields(fields)) == fields


@settings(deadline=None)
@given(_SPEC)
def test_nothing_differs_from_itself(spec: Any) -> None:
    difference = compare(_type(), spec, spec)
    assert not difference.touched
    assert not difference.removed


@settings(deadline=None)
@given(_SPEC, _SPEC)
def test_merged_value_has_all_that_was_applied(live: Any, config: Any) -> None:
    merged = merge(_type(), live, config)
    difference = compare(_type(), merged, merge(_type(), merged, config))
    assert not difference.touched
    assert not difference.removed
    assert field_set(_type(), config) <= field_set(_type(), merged)


@settings(deadline=None)
@given(_SPEC, _SPEC)
def test_merge_changes_nothing_but_what_was_applied(live: Any, config: Any) -> None:
    difference = compare(_type(), live, merge(_type(), live, config))
    assert not difference.removed - field_set(_type(), config)
    assert difference.touched <= with_named_fields(_type(), field_set(_type(), config))


@settings(deadline=None)
@given(_SPEC, _SPEC)
def test_comparison_the_other_way_round_is_the_reverse(one: Any, other: Any) -> None:
    there, back = compare(_type(), one, other), compare(_type(), other, one)
    assert (there.added, there.removed, there.modified) == (back.removed, back.added, back.modified)


@settings(deadline=None)
@given(_SPEC)
def test_value_without_its_fields_is_empty(spec: Any) -> None:
    fields = with_named_fields(_type(), field_set(_type(), spec))
    assert not without(_type(), spec, fields)


@settings(deadline=None)
@given(_SPEC, _SPEC)
def test_inputs_stay_as_they_are(live: Any, config: Any) -> None:
    before = (repr(live), repr(config))
    merge(_type(), live, config)
    without(_type(), live, field_set(_type(), config))
    assert (repr(live), repr(config)) == before


def test_paths_are_shown_as_messages_show_them() -> None:
    spec = {"containers": [{"name": "main", "ports": [{"containerPort": 80}]}]}
    shown = {shown_path(path) for path in field_set(_type(), spec)}
    assert shown == {
        '.containers[name="main"]',
        '.containers[name="main"].name',
        '.containers[name="main"].ports[containerPort=80,protocol="TCP"]',
        '.containers[name="main"].ports[containerPort=80,protocol="TCP"].containerPort',
    }
