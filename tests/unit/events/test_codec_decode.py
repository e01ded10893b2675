"""From a message's text to a typed event."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.core import PermanentError, Reason
from agentd.events import CATALOGUE, Event, Malformed, ProjectCreate, UnknownType, attach, decode, encode
from agentd.events.schema import example_event

Json = dict[str, Any]  # an event as JSON, whose values the tests bend

_TYPES = sorted(CATALOGUE)
_CREATE = "conveyor.project.create.v1"


def _event(**changes: object) -> Json:
    return {**example_event(_CREATE), **changes}


def _decode(document: Json) -> Event:
    return decode(json.dumps(document))


def _with_data(**changes: object) -> Json:
    document = _event()
    return {**document, "data": {**document["data"], **changes}}


@pytest.mark.parametrize("event_type", _TYPES)
def test_each_type_decodes_to_its_class(event_type: str) -> None:
    event = _decode(example_event(event_type))
    assert type(event.data) is CATALOGUE[event_type]
    assert event.key == f"event/{event.envelope.id}"
    assert str(event.subject) == event.envelope.subject


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (_event(id="ABC"), ("id: found 'ABC'", "match pattern")),
        (_event(specversion="0.3"), ("specversion: found '0.3'", "'1.0'")),
        (_event(type="project.create"), ("type: found 'project.create'", "match pattern")),
        (_event(generation=0), ("generation: found 0", "greater than or equal to 1")),
        (_event(generation="1"), ("generation: found '1'", "valid integer")),
        (_event(generation=2**53), ("generation: found 9007199254740992", "less than or equal to")),
        (_event(generation=True), ("generation: found true", "valid integer")),
        (_event(time="yesterday"), ("time: found 'yesterday'",)),
        (_event(time="2026-01-01T00:00:00"), ("time: found '2026-01-01T00:00:00'", "timezone")),
        (_event(subject="project"), ("subject: found 'project'", "expected <kind>/<uuid>")),
        (_event(subject="project/" + "A" * 8), ("subject: found 'project/AAAAAAAA'",)),
        (_event(datacontenttype="text/xml"), ("datacontenttype: found 'text/xml'", "'application/json'")),
        (_event(actor=""), ("actor: found ''", "at least 1 character")),
        (_event(source=None), ("source: found null", "valid string")),
        (_with_data(project_name="Team"), ("data.project_name: found 'Team'", "match pattern")),
        (_with_data(project_name="x"), ("data.project_name: found 'x'", "at least 2 characters")),
        (_with_data(project_name="x" * 64), ("data.project_name: found", "at most 63 characters")),
        (_with_data(plan="yes"), ("data.plan: found 'yes'", "valid boolean")),
        (_with_data(plan=1), ("data.plan: found 1", "valid boolean")),
        (_event(data=[]), ("data: found []",)),
        (_event(data=None), ("data: found null",)),
        (
            {**example_event("conveyor.project.delete.v1"), "data": {"retention": "shred"}},
            ("data.retention: found 'shred'", "'delete' or 'retain'"),
        ),
    ],
)
def test_errors_name_path_found_and_allowed(document: Json, told: tuple[str, ...]) -> None:
    with pytest.raises(Malformed) as caught:
        _decode(document)
    assert caught.value.reason is Reason.MALFORMED
    for part in told:
        assert part in caught.value.message
    assert "\n" not in caught.value.message
    assert "pydantic" not in caught.value.message


@pytest.mark.parametrize(
    "missing", ["specversion", "id", "source", "type", "subject", "time", "tenantid", "clusterid", "generation"]
)
def test_a_missing_attribute_is_named(missing: str) -> None:
    document = _event()
    del document[missing]
    with pytest.raises(Malformed, match=f"{missing}: is missing"):
        _decode(document)


def test_many_errors_are_told_at_once_but_not_without_end() -> None:
    with pytest.raises(Malformed) as caught:
        decode("{}")
    assert caught.value.message.count("is missing") == 5
    assert caught.value.message.endswith("and 4 more")


def test_found_values_are_shown_short() -> None:
    with pytest.raises(Malformed) as caught:
        _decode(_event(id="x" * 100_000))
    assert len(caught.value.message) < 400


def test_what_could_be_learnt_of_a_malformed_message_is_kept() -> None:
    with pytest.raises(Malformed) as caught:
        _decode(_event(generation="new"))
    assert caught.value.attributes["id"] == _event()["id"]
    with pytest.raises(Malformed) as caught:
        _decode(_with_data(project_name="Team"))
    assert caught.value.attributes["id"] == _event()["id"]


def test_unknown_attributes_and_fields_are_ignored() -> None:
    event = _decode({**_with_data(colour="blue"), "newer": {"deep": [1]}})
    assert event.data == _decode(_event()).data


def test_an_unknown_type_is_answered_with_what_is_known() -> None:
    with pytest.raises(UnknownType) as caught:
        _decode(_event(type="conveyor.project.create.v2"))
    assert caught.value.reason is Reason.UNKNOWN_TYPE
    for event_type in _TYPES:
        assert event_type in caught.value.message


def test_the_subject_is_of_the_types_kind_and_the_data_about_it() -> None:
    other = "6f0c1d2e-0000-4000-8000-000000000001"
    with pytest.raises(Malformed, match="subject: found kind 'package'"):
        _decode(_event(subject=f"package/{other}"))
    with pytest.raises(Malformed, match=f"data.project_id: found '{other}'; expected the subject's own"):
        _decode(_with_data(project_id=other))


def test_a_plan_decodes_as_a_plan() -> None:
    event = _decode(_with_data(plan=True))
    assert event.data is not None
    assert event.data.plan
    assert not _decode(_event()).data.plan  # type: ignore[union-attr]  # given, as the test above has it
    assert "plan" not in event.data.desired()["spec"]


# -- the digest --------------------------------------------------------------------------------------------------------


def test_the_digest_is_of_what_is_said_not_of_how() -> None:
    document = _event()
    plain = _decode(document).digest
    backwards = {name: document[name] for name in reversed(document)}
    backwards["data"] = {name: document["data"][name] for name in reversed(document["data"])}
    assert plain.startswith("sha256:")
    assert len(plain) == 71
    assert decode(json.dumps(backwards, indent=4)).digest == plain
    assert decode(json.dumps(document).replace("team-orders", "team\\u002dorders")).digest == plain


@pytest.mark.parametrize(
    "change",
    [{"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}, {"tracestate": "x=1"}, {"signature": "e30..c2ln"}],
)
def test_trace_and_signature_are_no_part_of_the_digest(change: Json) -> None:
    assert _decode(_event(**change)).digest == _decode(_event()).digest


@pytest.mark.parametrize(
    "changed",
    [
        _with_data(project_name="team-billing"),
        _with_data(unknown=1),
        _event(generation=2),
        _event(actor="user:joe"),
        _event(newer=1),
    ],
)
def test_the_same_id_with_other_content_has_another_digest(changed: Json) -> None:
    assert changed["id"] == _event()["id"]
    assert _decode(changed).digest != _decode(_event()).digest


def test_encode_is_decodes_way_back() -> None:
    document = _event(actor=None)
    text = encode({name: value for name, value in document.items() if name != "data"}, document["data"])
    assert "actor" not in json.loads(text)
    assert decode(text).data == _decode(_event()).data


# -- claim checks ------------------------------------------------------------------------------------------------------


def _claim_check(data: bytes, **changes: object) -> Json:
    document = _event(
        dataref="s3://bucket/conveyor/x", datadigest="sha256:" + hashlib.sha256(data).hexdigest(), datasize=len(data)
    )
    del document["data"]
    return {**document, **changes}


def test_a_claim_check_is_attached() -> None:
    data = json.dumps(_event()["data"]).encode()
    event = _decode(_claim_check(data))
    assert event.data is None
    attached = attach(event, data)
    assert isinstance(attached.data, ProjectCreate)
    assert attached.digest == event.digest


def test_an_event_with_its_data_needs_nothing_attached() -> None:
    event = _decode(_event())
    assert attach(event, b"anything") is event


@pytest.mark.parametrize("missing", ["dataref", "datadigest", "datasize"])
def test_a_claim_check_is_whole(missing: str) -> None:
    document = _claim_check(b"{}")
    del document[missing]
    with pytest.raises(Malformed, match="dataref, datadigest and datasize go together"):
        _decode(document)


def test_data_travels_in_exactly_one_way() -> None:
    both = {**_claim_check(b"{}"), "data": _event()["data"]}
    neither = _event()
    del neither["data"]
    for document in (both, neither):
        with pytest.raises(Malformed, match="expected exactly one of data and dataref"):
            _decode(document)


@pytest.mark.parametrize("fetched", [b"", b"{} ", b"[]", b"x" * 100])
def test_data_that_is_not_what_was_promised_is_refused(fetched: bytes) -> None:
    event = _decode(_claim_check(b"{}"))
    with pytest.raises(PermanentError) as caught:
        attach(event, fetched)
    assert caught.value.reason is Reason.DATA_UNAVAILABLE


@pytest.mark.parametrize("data", [b"no json", b"[]", b'{"project_id": NaN}', b"\xff\xfe", b"[" * 10_000])
def test_promised_data_that_is_no_data_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed, match=r"^data"):
        attach(_decode(_claim_check(data)), data)


# -- hostile texts -----------------------------------------------------------------------------------------------------


def _raw(old: str, new: str) -> str:
    text = json.dumps(_event())
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "null",
        "[]",
        "1",
        '"text"',
        "{",
        '{"a":1}x',
        "\ufeff{}",
        "\x00",
        "\ud800",
        "[" * 100_000,
        '{"a":' * 100_000,
        _raw('"generation": 1', '"generation": NaN'),
        _raw('"generation": 1', '"generation": Infinity'),
        _raw('"generation": 1', '"generation": 1' + "0" * 400),
        _raw('"generation": 1', '"generation": 1' + "0" * 5000),
        _raw('"generation": 1', '"generation": 1e400'),
        _raw('"generation": 1', '"generation": 1.0'),
        _raw('"generation": 1', '"generation": 1, "newer": 1' + "0" * 400),
        _raw('"generation": 1', '"generation": 1, "newer": 1' + "0" * 5000),
        _raw('"generation": 1', '"generation": 1, "newer": 1e400'),
        _raw('"team-orders"', '"team-orders", "newer": 1' + "0" * 5000),
        _raw('"team-orders"', '"team-orders", "newer": NaN'),
        _raw('"team-orders"', '"team-orders", "newer": ' + "[" * 5000 + "]" * 5000),
        _raw('"team-orders"', '"\\ud800"'),
        _raw('"user:jane"', '"\\ud800"'),
        _raw('"user:jane"', '"\\udc00\\ud800"'),
        _raw('"user:jane"', '"\\uZZZZ"'),
        _raw('"user:jane"', '"\ud800"'),
        _raw('"user:jane"', '"a", "newer": "\\ud800"'),
    ],
)
def test_hostile_texts_are_malformed_and_nothing_else(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        decode(text)
    assert caught.value.reason is Reason.MALFORMED
    assert len(caught.value.message) < 1000
    caught.value.message.encode()


def test_of_a_repeated_attribute_digest_and_envelope_see_the_same() -> None:
    event = decode(_raw('"generation": 1', '"generation": 1, "generation": 2'))
    assert event.envelope.generation == 2
    assert event.digest == _decode(_event(generation=2)).digest


def _ending(document: Json) -> str:
    try:
        _decode(document)
    except Malformed as error:
        return "malformed" if error.message.encode() else "without a word"
    return "decoded"


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(text=st.text() | st.binary().map(lambda data: data.decode(errors="surrogateescape")) | _VALUES.map(json.dumps))
def test_fuzzed_texts_raise_malformed_and_nothing_else(text: str) -> None:
    with pytest.raises(Malformed):
        decode(text)


@settings(max_examples=300, deadline=None)
@given(
    event_type=st.sampled_from(_TYPES),
    attributes=st.dictionaries(st.sampled_from(sorted(_event())), _VALUES, min_size=1, max_size=3),
    field=st.sampled_from(["project_id", "project_name", "plan", "retention", "newer"]),
    value=_VALUES,
)
def test_bent_events_decode_or_are_malformed(event_type: str, attributes: Json, field: str, value: object) -> None:
    document = example_event(event_type)
    document["data"][field] = value
    document |= attributes
    assert _ending(document) in ("decoded", "malformed")


@settings(max_examples=300, deadline=None)
@given(
    text=st.sampled_from([json.dumps(example_event(t)) for t in _TYPES]),
    cut=st.integers(0, 900),
    junk=st.text(max_size=3),
)
def test_broken_off_events_are_malformed(text: str, cut: int, junk: str) -> None:
    broken = text[: min(cut, len(text) - 1)] + junk
    if broken == text:
        return
    with pytest.raises(Malformed):
        decode(broken)
