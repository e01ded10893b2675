"""The generated schemas say what decode does, and the written files are current."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # has no types of its own

import agentd
from agentd.core import OutcomeKind, Reason
from agentd.events import (
    CATALOGUE,
    DeploymentAction,
    EnvironmentSpec,
    Heartbeat,
    Malformed,
    NetworkEgress,
    OutcomeReport,
    ProjectDeployment,
    Quotas,
    ReportEnvelope,
    ReportType,
    Timings,
    decode,
    moment,
    report_id,
    sequence_text,
)
from agentd.events.schema import asyncapi, example_event, json_schemas, schema_uri, write_all

Json = dict[str, Any]  # a JSON document

_FOLDER = Path(agentd.__file__).parents[1] / "docs" / "events"
_SCHEMAS = json_schemas()
_TYPES = sorted(CATALOGUE)
_OUTGOING = sorted(set(_SCHEMAS) - set(CATALOGUE))
_ID = "6f0c1d2e-0000-4000-8000-000000000001"


def _accepted_by_schema(document: Json) -> bool:
    return bool(Draft202012Validator(_SCHEMAS[document["type"]]).is_valid(document))


def _accepted_by_decode(document: Json) -> bool:
    try:
        decode(json.dumps(document))
    except Malformed:
        return False
    return True


def test_the_written_files_are_current(tmp_path: Path) -> None:
    write_all(tmp_path)
    written = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    kept = {path.name: path.read_text(encoding="utf-8") for path in _FOLDER.iterdir()}
    assert written.keys() == kept.keys(), "write them anew: make generate"
    for name, text in written.items():
        assert kept[name] == text, f"{name} is not current: make generate"


def test_writing_removes_what_is_no_more(tmp_path: Path) -> None:
    (tmp_path / "conveyor.old.create.v1.schema.json").write_text("{}")
    (tmp_path / "mine.txt").write_text("stays")
    write_all(tmp_path)
    assert not (tmp_path / "conveyor.old.create.v1.schema.json").exists()
    assert (tmp_path / "mine.txt").exists()


def test_every_event_in_and_out_has_a_schema() -> None:
    for event_type in _TYPES:
        assert event_type in _SCHEMAS
        assert ReportType.of(event_type) in _SCHEMAS
    assert set(ReportType) <= _SCHEMAS.keys()


@pytest.mark.parametrize("event_type", sorted(_SCHEMAS))
def test_each_schema_is_a_schema_with_valid_examples(event_type: str) -> None:
    schema = _SCHEMAS[event_type]
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == schema_uri(event_type)
    assert schema["description"]
    assert schema["examples"]
    for example in schema["examples"]:
        Draft202012Validator(schema).validate(example)
        assert example["type"] == event_type
        assert example["dataschema"] == schema["$id"]


@pytest.mark.parametrize("event_type", sorted(_SCHEMAS))
def test_every_field_is_described(event_type: str) -> None:
    properties = _SCHEMAS[event_type]["properties"]
    for name, field in {**properties, **properties["data"]["properties"]}.items():
        assert field.get("description") or "$ref" in field, name


@pytest.mark.parametrize("event_type", _TYPES)
def test_examples_decode(event_type: str) -> None:
    assert decode(json.dumps(example_event(event_type))).envelope.type == event_type


@pytest.mark.parametrize("event_type", _TYPES)
@pytest.mark.parametrize(
    "changes",
    [
        {"id": "ABC"},
        {"id": None},
        {"specversion": "0.3"},
        {"subject": f"nothing/{_ID}"},
        {"subject": _ID},
        {"generation": 0},
        {"generation": "1"},
        {"generation": 2**53},
        {"generation": 1.5},
        {"tenantid": "tenant"},
        {"actor": ""},
        {"traceparent": "00-1-2-3"},
        {"data": None},
        {"data": {}},
        {"data": []},
        {"datasize": 2},
        {"dataref": "s3://b/k"},
        {"dataref": "s3://b/k", "datadigest": "sha256:" + "0" * 64, "datasize": 2},
    ],
)
def test_what_one_refuses_the_other_refuses(event_type: str, changes: Json) -> None:
    document = {**example_event(event_type), **changes}
    assert not _accepted_by_schema(document)
    assert not _accepted_by_decode(document)


@pytest.mark.parametrize("event_type", _TYPES)
@pytest.mark.parametrize("bent", [{"plan": "yes"}, {"plan": None}, {"project_name": "Team"}, {"package_name": "a b"}])
def test_what_one_refuses_of_the_data_the_other_refuses(event_type: str, bent: Json) -> None:
    document = example_event(event_type)
    bent = {name: value for name, value in bent.items() if name in (*document["data"], "plan")}
    document["data"] |= bent
    assert _accepted_by_schema(document) == _accepted_by_decode(document) == (not bent)


@pytest.mark.parametrize("event_type", _TYPES)
def test_a_claim_check_is_accepted_by_both(event_type: str) -> None:
    document = {
        **example_event(event_type),
        "dataref": "s3://bucket/key",
        "datadigest": "sha256:" + "0" * 64,
        "datasize": 2,
    }
    del document["data"]
    assert _accepted_by_schema(document)
    assert _accepted_by_decode(document)


def test_a_required_field_of_an_unknown_form_needs_an_example() -> None:
    for event_type in _TYPES:
        required = CATALOGUE[event_type].model_json_schema()["required"]
        assert set(required) <= example_event(event_type)["data"].keys()


# -- events made by strategy -------------------------------------------------------------------------------------------

_UUIDS = st.uuids().map(str)
_TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20)
_NAMES = st.from_regex(r"[a-z0-9]{2,8}([-_][a-z0-9]{1,8}){0,3}", fullmatch=True)
_SPECS = st.builds(
    lambda version, protected, identity, pods, internet, text: EnvironmentSpec(
        airflow_version=version,
        deletion_protection=protected,
        iam_identity=identity,
        quotas=Quotas(pods=pods),
        network_egress=NetworkEgress(internet=internet),
        description=text,
    ).model_dump(mode="json"),
    st.sampled_from(["3", "3.3", "3.3.2"]),
    st.booleans(),
    st.none() | _TEXTS,
    st.integers(1, 100_000),
    st.booleans(),
    st.none() | _TEXTS,
)
_PROJECTS = st.lists(
    st.builds(
        lambda project_id, name, build_id, action: ProjectDeployment(
            project_id=project_id, project_name=name, build_id=build_id, action=action
        ).model_dump(mode="json"),
        _UUIDS,
        _NAMES,
        _UUIDS,
        st.sampled_from(DeploymentAction),
    ),
    max_size=3,
    unique_by=(lambda project: project["project_id"], lambda project: project["project_name"].replace("_", ".")),
)
_FIELDS: dict[str, st.SearchStrategy[object]] = {
    "plan": st.booleans(),
    "project_id": _UUIDS,
    "package_id": _UUIDS,
    "build_id": _UUIDS,
    "project_name": _NAMES,
    "package_name": _NAMES,
    "default_identity": st.none() | _TEXTS,
    "environment_id": _UUIDS,
    "environment_name": st.from_regex(r"[a-z0-9]{1,12}", fullmatch=True).filter(lambda name: name != "default"),
    "spec": _SPECS,
    "projects": _PROJECTS,
    "settings": st.dictionaries(st.from_regex(r"[A-Z][A-Z_]{0,8}[A-Z]", fullmatch=True), _TEXTS, max_size=3),
    "force": st.booleans(),
    "retention": st.sampled_from(["delete", "retain"]),
}
_ENVELOPE: dict[str, st.SearchStrategy[object]] = {
    "id": _UUIDS,
    "source": _TEXTS,
    "tenantid": _UUIDS,
    "clusterid": _UUIDS,
    "generation": st.integers(1, 2**53 - 1),
    "time": st.datetimes().map(lambda time: time.isoformat() + "Z"),
}
_OPTIONAL: dict[str, st.SearchStrategy[object]] = {
    "actor": st.none() | _TEXTS,
    "traceparent": st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", fullmatch=True),
    "tracestate": _TEXTS,
    "expirytime": st.datetimes().map(lambda time: time.isoformat() + "+02:00"),
    "dataref": st.none(),
    "newer": st.integers(-100, 100) | _TEXTS,
}


@st.composite
def _events(draw: st.DrawFn) -> Json:
    data_class = CATALOGUE[draw(st.sampled_from(_TYPES))]
    schema = data_class.model_json_schema()
    data = {
        name: draw(_FIELDS[name]) for name in schema["properties"] if name in schema["required"] or draw(st.booleans())
    }
    return {
        "specversion": "1.0",
        "type": data_class.type,
        "subject": f"{data_class.kind()}/{data[f'{data_class.kind()}_id']}",
        **draw(st.fixed_dictionaries(_ENVELOPE, optional=_OPTIONAL)),
        "data": data,
    }


@settings(max_examples=150, deadline=None)
@given(document=_events())
def test_events_made_by_the_rules_are_accepted_by_both(document: Json) -> None:
    assert _accepted_by_schema(document)
    event = decode(json.dumps(document))
    assert event.envelope.id == document["id"]
    assert event.data is not None
    shown = event.data.model_dump(mode="json")
    assert {name: shown[name] for name in document["data"]} == document["data"]


# -- reports -----------------------------------------------------------------------------------------------------------


def _outcome(reason: Reason | None) -> Json:
    report = OutcomeReport(
        key=f"event/{_ID}",
        event_id=_ID,
        event_type=_TYPES[0],
        subject=f"build/{_ID}",
        generation=1,
        epoch=2,
        sequence=3,
        outcome=OutcomeKind.FAILED,
        changed=True,
        reason=reason,
        help=reason.help if reason else None,
        attempts=8,
        timings=Timings(admitted_at=moment(0.5), finished_at=moment(1.0)),
        objects=("ecr:repository/a",),
        tenant_id=_ID,
        cluster_id=_ID,
        agent_version="1",
    )
    envelope = ReportEnvelope(
        id=report_id(f"event/{_ID}", 2),
        source="urn:conveyor:agent:1",
        type=ReportType.of(_TYPES[0]),
        subject=f"build/{_ID}",
        time=moment(1.0),
        tenantid=_ID,
        clusterid=_ID,
        sequence=sequence_text(3),
    )
    return {**envelope.model_dump(mode="json", exclude_none=True), "data": report.model_dump(mode="json")}


@pytest.mark.parametrize("reason", [None, *Reason])
def test_reports_are_as_their_schema_says(reason: Reason | None) -> None:
    document = _outcome(reason)
    assert _accepted_by_schema(document)
    assert document["data"]["timings"]["admitted_at"] == "1970-01-01T00:00:00.500000Z"


def test_a_report_without_its_outcome_is_refused() -> None:
    document = _outcome(None)
    del document["data"]["outcome"]
    assert not _accepted_by_schema(document)
    assert not _accepted_by_schema({**_outcome(None), "sequence": "3"})


def test_readers_accept_what_a_newer_agent_adds() -> None:
    document = _outcome(None)
    document["data"]["newer"] = 1
    assert _accepted_by_schema({**document, "newer": 1})


def test_sequences_sort_as_text_the_way_they_count() -> None:
    numbers = [1, 2, 9, 10, 99, 100, 2**31, 2**53 - 1]
    assert sorted(map(sequence_text, numbers)) == [sequence_text(number) for number in numbers]
    assert len({len(sequence_text(number)) for number in numbers}) == 1


def test_report_ids_are_the_same_whoever_derives_them() -> None:
    assert report_id("event/a", 1) == report_id("event/a", 1)
    assert (
        len({report_id("event/a", 1), report_id("event/a", 2), report_id("event/a1", 1), report_id("message/a", 1)})
        == 4
    )


def test_a_heartbeat_needs_no_more_than_who_it_is() -> None:
    heartbeat = Heartbeat(
        replica="r",
        agent_version="1",
        tenant_id=_ID,
        cluster_id=_ID,
        owner_id=_ID,
        number=1,
        started_at=moment(0),
        interval_s=30,
    )
    schema = _SCHEMAS[ReportType.HEARTBEAT]
    assert Draft202012Validator({**schema["properties"]["data"], "$defs": schema["$defs"]}).is_valid(
        heartbeat.model_dump(mode="json")
    )


# -- AsyncAPI ----------------------------------------------------------------------------------------------------------


def _references(document: object) -> list[str]:
    if isinstance(document, dict):
        own = [document["$ref"]] if isinstance(document.get("$ref"), str) else []
        return own + [ref for value in document.values() for ref in _references(value)]
    if isinstance(document, list):
        return [ref for value in document for ref in _references(value)]
    return []


def _resolve(document: Json, reference: str) -> Any:
    target: Any = document
    for part in reference.removeprefix("#/").split("/"):
        target = target[part.replace("~1", "/").replace("~0", "~")]
    return target


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi()
    references = _references(document)
    assert references
    for reference in references:
        assert _resolve(document, reference)


def test_the_asyncapi_document_has_both_queues_and_every_message() -> None:
    document = asyncapi()
    assert document["asyncapi"] == "3.0.0"
    assert document["channels"]["commands"]["messages"].keys() == CATALOGUE.keys()
    assert sorted(document["channels"]["reports"]["messages"]) == _OUTGOING
    assert document["operations"]["receiveCommand"]["action"] == "receive"
    assert document["operations"]["sendReport"]["action"] == "send"
    assert len(document["operations"]["sendReport"]["messages"]) == len(_OUTGOING)


def test_the_asyncapi_schemas_accept_the_examples() -> None:
    document = asyncapi()
    for event_type in _SCHEMAS:
        schema = {"$ref": f"#/components/schemas/{event_type}", "components": document["components"]}
        for example in _SCHEMAS[event_type]["examples"]:
            Draft202012Validator(schema).validate(example)
