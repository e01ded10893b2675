"""The contract for machines: JSON Schema (2020-12) per event, and an AsyncAPI 3.0 document of both queues.

Made from the same classes that decode and encode, so they cannot differ. What a schema cannot say (that the id in `data`
repeats the subject's, that 1.0 is no integer to this agent) is said in descriptions and checked by `decode`. Readers
ignore what they do not know, hence no schema forbids further properties.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from pydantic import BaseModel

from agentd.core import Action, DriftState, OutcomeKind, Reason
from agentd.events.catalogue import CATALOGUE
from agentd.events.data import EventData
from agentd.events.envelope import UUID_PATTERN, Envelope
from agentd.events.reports import (
    STATES,
    DriftAuthor,
    DriftChange,
    DriftField,
    DriftReport,
    Heartbeat,
    OutcomeReport,
    ProgressReport,
    ReportEnvelope,
    ReportType,
    Timings,
    moment,
    report_id,
    sequence_text,
)

Json = dict[str, Any]  # a JSON document whose shape is a standard's own

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_EXAMPLES = UUID("9d3b7a52-6a86-4c0e-8a4e-3f6c2f6a9b11")
_EXAMPLE_TIME = 1_767_225_600.0
_CONTENT_TYPE = "application/cloudevents+json"
_SCHEMA_FORMAT = "application/schema+json;version=draft-2020-12"
_CLAIM_CHECK = ("dataref", "datadigest", "datasize")
_DEFS = "#/$defs/{model}"
_COMPONENTS = "#/components/schemas/{model}"


def schema_uri(event_type: str) -> str:
    """The `$id` of an event's schema, and what its `dataschema` names."""
    return f"urn:conveyor:schema:{event_type}"


def json_schemas() -> dict[str, Json]:
    """The schema of the whole CloudEvent, per type: events in, and what goes out."""
    return {
        event_type: {"$schema": _DIALECT, "$id": schema_uri(event_type), **schema}
        for event_type, schema in sorted(_schemas(_DEFS).items())
    }


def example_event(event_type: str) -> Json:
    """A valid event of a type of the catalogue, the same on every call. KeyError for any other type."""
    data_class = CATALOGUE[event_type]
    field = f"{data_class.kind()}_id"
    data = _example_data(data_class)
    return {
        "specversion": "1.0",
        "id": _example_id("event"),
        "source": "https://control-plane.example",
        "type": event_type,
        "subject": f"{data_class.kind()}/{data[field]}",
        "time": _example_moment(),
        "datacontenttype": "application/json",
        "dataschema": schema_uri(event_type),
        "tenantid": _example_id("tenant_id"),
        "clusterid": _example_id("cluster_id"),
        "generation": 1,
        "actor": "user:jane",
        "data": data,
    }


def asyncapi() -> Json:
    """AsyncAPI 3.0: what the agent receives from the commands queue, and sends to the reports queue."""
    commands = {event_type: _message(event_type, _summary(cls), "id") for event_type, cls in CATALOGUE.items()}
    reports = {event_type: _message(event_type, _summary(data), None) for event_type, data in _reports().items()}
    for event_type in (*map(ReportType.of, CATALOGUE), ReportType.MESSAGE_REJECTED, ReportType.PROGRESS):
        reports[event_type]["correlationId"] = {"$ref": "#/components/correlationIds/reported"}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "agentd",
            "version": "1",
            "description": "Events in and reports out of a data plane. CloudEvents 1.0, structured JSON, one a message.",
        },
        "defaultContentType": _CONTENT_TYPE,
        "channels": {
            "commands": _channel("Events for one data plane, of the customer's own queue.", commands),
            "reports": _channel(
                "What the data plane tells: at least once, durable before its event is deleted.", reports
            ),
        },
        "operations": {
            "receiveCommand": _receive(commands),
            "sendReport": _send(reports),
        },
        "components": {
            "messages": {**commands, **reports},
            "schemas": _component_schemas(),
            "correlationIds": {
                "event": {"description": "The event's own id.", "location": "$message.payload#/id"},
                "reported": {
                    "description": "The id of the event that is reported on.",
                    "location": "$message.payload#/data/event_id",
                },
            },
        },
    }


def write_all(folder: Path) -> None:
    """Write every schema and `asyncapi.json` into the folder, and remove schemas of types that are no more."""
    folder.mkdir(parents=True, exist_ok=True)
    documents = {f"{event_type}.schema.json": schema for event_type, schema in json_schemas().items()}
    documents["asyncapi.json"] = asyncapi()
    for stale in {path.name for path in folder.glob("*.schema.json")} - documents.keys():
        (folder / stale).unlink()
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


# -- events in ---------------------------------------------------------------------------------------------------------


def _command_schema(data_class: type[EventData], refs: str) -> Json:
    """The envelope, narrowed to the type, with its data or a claim check in place of it."""
    schema, definitions = _model_schema(Envelope, refs)
    properties = schema["properties"]
    kind = data_class.kind()
    uuid = UUID_PATTERN.removeprefix("^").removesuffix("$")
    properties["type"] = {"const": data_class.type, "description": properties["type"]["description"]}
    properties["subject"] |= {"pattern": f"^{kind}/{uuid}$"}
    properties["data"], more = _model_schema(data_class, refs)
    properties["data"]["properties"][f"{kind}_id"]["description"] += " `decode` refuses another one."
    without = {name: {"type": "null"} for name in _CLAIM_CHECK}
    whole = {name: {"not": {"type": "null"}} for name in _CLAIM_CHECK}
    return {
        "title": data_class.type,
        "description": _summary(data_class),
        "type": "object",
        "properties": properties,
        "required": schema["required"],
        "oneOf": [
            {"title": "data in the message", "required": ["data"], "properties": without},
            {"title": "claim check", "required": list(_CLAIM_CHECK), "properties": {**whole, "data": False}},
        ],
        "examples": [example_event(data_class.type)],
        **_definitions(definitions | more),
    }


def _example_data(data_class: type[EventData]) -> Json:
    """Required fields, and those whose type has an example. ValueError when a required field has none."""
    schema = data_class.model_json_schema()
    data = {}
    for name, field in schema["properties"].items():
        example = _example_value(name, field)
        if example is not None:
            data[name] = example
        elif name in schema.get("required", ()):
            raise ValueError(f"{data_class.__name__}.{name}: give its type an example: Field(examples=[...])")
    return data


def _example_value(name: str, field: Json) -> object:
    if field.get("examples"):
        return field["examples"][0]
    return _example_id(name) if field.get("pattern") == UUID_PATTERN else None


def _example_id(name: str) -> str:
    return str(uuid5(_EXAMPLES, name))


def _example_moment() -> str:
    return moment(_EXAMPLE_TIME).isoformat().replace("+00:00", "Z")


# -- reports out -------------------------------------------------------------------------------------------------------


def _reports() -> dict[str, type[BaseModel]]:
    outcomes: dict[str, type[BaseModel]] = {ReportType.of(event_type): OutcomeReport for event_type in CATALOGUE}
    others: dict[str, type[BaseModel]] = {
        ReportType.MESSAGE_REJECTED.value: OutcomeReport,
        ReportType.PROGRESS.value: ProgressReport,
        ReportType.HEARTBEAT.value: Heartbeat,
        ReportType.DRIFT.value: DriftReport,
    }
    states: dict[str, type[BaseModel]] = {report_type.value: data for report_type, data in STATES.values()}
    return outcomes | others | states


def _report_schema(report_type: str, data: type[BaseModel], refs: str) -> Json:
    schema, definitions = _model_schema(ReportEnvelope, refs)
    properties = schema["properties"]
    properties["type"] = {"const": report_type, "description": properties["type"]["description"]}
    properties["data"], more = _model_schema(data, refs)
    required = [name for name in schema["required"] if name != "data"]
    return {
        "title": report_type,
        "description": _summary(data),
        "type": "object",
        "properties": properties,
        "required": [*required, "specversion", "data"],
        "examples": [_example_report(report_type, data)],
        **_definitions(definitions | more),
    }


def _example_report(report_type: str, data: type[BaseModel]) -> Json:
    examples: dict[type[BaseModel], Callable[[str], BaseModel]] = {
        OutcomeReport: _example_outcome,
        ProgressReport: _example_progress,
        Heartbeat: _example_heartbeat,
        DriftReport: _example_drift,
        **dict.fromkeys((state for _, state in STATES.values()), _example_state),
    }
    body = examples[data](report_type)
    sequence = getattr(body, "sequence", None)
    envelope = ReportEnvelope(
        id=report_id(f"event/{_example_id('event')}", 1),
        source=f"urn:conveyor:agent:{_example_id('cluster_id')}",
        type=report_type,
        subject=getattr(body, "subject", None),
        time=moment(_EXAMPLE_TIME),
        dataschema=schema_uri(report_type),
        tenantid=_example_id("tenant_id"),
        clusterid=_example_id("cluster_id"),
        sequence=None if sequence is None else sequence_text(sequence),
    )
    return {**envelope.model_dump(mode="json", exclude_none=True), "data": body.model_dump(mode="json")}


def _example_outcome(report_type: str) -> BaseModel:
    rejected = report_type == ReportType.MESSAGE_REJECTED
    event_type = None if rejected else report_type.replace(".report.", ".", 1)
    reason = Reason.MALFORMED if rejected else None
    return OutcomeReport(
        key="message/17" if rejected else f"event/{_example_id('event')}",
        event_id=None if rejected else _example_id("event"),
        event_type=event_type,
        subject=None if event_type is None else example_event(event_type)["subject"],
        generation=None if rejected else 1,
        epoch=1,
        sequence=2,
        outcome=OutcomeKind.REJECTED if rejected else OutcomeKind.SUCCEEDED,
        changed=not rejected,
        reason=reason,
        help=reason.help if reason else None,
        message="$: no JSON" if rejected else "",
        attempts=0 if rejected else 1,
        timings=Timings(finished_at=moment(_EXAMPLE_TIME)),
        tenant_id=_example_id("tenant_id"),
        cluster_id=_example_id("cluster_id"),
        agent_version="0.1.0",
    )


def _example_progress(_report_type: str) -> BaseModel:
    event_type = next(iter(CATALOGUE))
    return ProgressReport(
        event_id=_example_id("event"),
        event_type=event_type,
        subject=example_event(event_type)["subject"],
        generation=1,
        epoch=1,
        attempt=1,
        sequence=1,
        number=1,
        step="create repository",
        step_number=1,
        steps=3,
        tenant_id=_example_id("tenant_id"),
        cluster_id=_example_id("cluster_id"),
        agent_version="0.1.0",
    )


def _example_heartbeat(_report_type: str) -> BaseModel:
    return Heartbeat(
        replica="host-1a2b3c4d",
        agent_version="0.1.0",
        tenant_id=_example_id("tenant_id"),
        cluster_id=_example_id("cluster_id"),
        owner_id=_example_id("cluster_id"),
        number=1,
        started_at=moment(_EXAMPLE_TIME),
        interval_s=30.0,
    )


def _example_drift(_report_type: str) -> BaseModel:
    replicas = DriftField(path="spec.replicas", found=7, wanted=1)
    author = DriftAuthor(manager="kubectl-edit", at="2025-12-31T23:59:00Z", fields=("spec.replicas",))
    change = DriftChange(
        object="kubernetes:analytics/deployment/airflow-scheduler",
        action=Action.CHANGE,
        fields=(replicas,),
        made_by=(author,),
    )
    return DriftReport(
        subject=f"environment/{_example_id('environment_id')}",
        generation=3,
        sequence=9,
        state=DriftState.DRIFTED,
        since=moment(_EXAMPLE_TIME),
        checked_at=moment(_EXAMPLE_TIME),
        planhash="sha256:" + "0" * 64,
        changes=(change,),
        changes_total=1,
        repair="not_allowed",
        tenant_id=_example_id("tenant_id"),
        cluster_id=_example_id("cluster_id"),
        agent_version="0.1.0",
    )


def _example_state(report_type: str) -> BaseModel:
    kind, data = next((kind, data) for kind, (named, data) in STATES.items() if named == report_type)
    return data(
        subject=f"{kind}/{_example_id(kind)}",
        sequence=2**32 + 1,
        gone=True,
        again_within_s=3600.0,
        tenant_id=_example_id("tenant_id"),
        cluster_id=_example_id("cluster_id"),
        agent_version="0.1.0",
    )


# -- AsyncAPI ----------------------------------------------------------------------------------------------------------


def _message(event_type: str, summary: str, correlation: str | None) -> Json:
    message: Json = {
        "name": event_type,
        "title": event_type,
        "summary": summary,
        "contentType": _CONTENT_TYPE,
        "payload": {"schemaFormat": _SCHEMA_FORMAT, "schema": {"$ref": _COMPONENTS.format(model=event_type)}},
    }
    if correlation is not None:
        message["correlationId"] = {"$ref": "#/components/correlationIds/event"}
    return message


def _channel(description: str, messages: Mapping[str, Json]) -> Json:
    return {
        "address": None,  # the customer's own queue: a setting, not part of the contract
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }


def _receive(commands: Mapping[str, Json]) -> Json:
    outcomes = [*map(ReportType.of, commands), ReportType.MESSAGE_REJECTED.value]
    return {
        "action": "receive",
        "summary": "Carry an event out.",
        "channel": {"$ref": "#/channels/commands"},
        "messages": _messages_of("commands", commands),
        "reply": {"channel": {"$ref": "#/channels/reports"}, "messages": _messages_of("reports", outcomes)},
    }


def _send(reports: Mapping[str, Json]) -> Json:
    return {
        "action": "send",
        "summary": "Tell how events end, what the cluster looks like, what has drifted, and that the agent is there.",
        "channel": {"$ref": "#/channels/reports"},
        "messages": _messages_of("reports", reports),
    }


def _messages_of(channel: str, names: Mapping[str, Json] | list[str]) -> list[Json]:
    return [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names]


def _component_schemas() -> Json:
    """All schemas side by side, with the definitions that they share taken out."""
    schemas: Json = {}
    for event_type, schema in _schemas(_COMPONENTS).items():
        schemas |= schema.pop("$defs", {})
        schemas[event_type] = schema
    return schemas


# -- shared ------------------------------------------------------------------------------------------------------------


def _schemas(refs: str) -> dict[str, Json]:
    """Per type; `refs` is where its definitions are to be found."""
    commands = {event_type: _command_schema(data_class, refs) for event_type, data_class in CATALOGUE.items()}
    return commands | {event_type: _report_schema(event_type, data, refs) for event_type, data in _reports().items()}


def _model_schema(model: type[BaseModel], refs: str) -> tuple[Json, Json]:
    """A model's schema without titles that only repeat names, and the definitions that it refers to."""
    schema = _open(model.model_json_schema(ref_template=refs))
    definitions = schema.pop("$defs", {})
    return schema, definitions


def _open(schema: Json) -> Json:
    """Without `title`, and without `additionalProperties: false`: newer writers may say more."""
    tidy = {key: value for key, value in schema.items() if key not in ("title", "additionalProperties")}
    if isinstance(schema.get("additionalProperties"), dict):
        tidy["additionalProperties"] = _open(schema["additionalProperties"])
    for key in ("properties", "$defs"):
        if key in tidy:
            tidy[key] = {name: _open(inner) for name, inner in tidy[key].items()}
    if "items" in tidy:
        tidy["items"] = _open(tidy["items"])
    if "anyOf" in tidy:
        tidy["anyOf"] = [_open(inner) for inner in tidy["anyOf"]]
    return tidy


def _definitions(definitions: Json) -> Json:
    return {"$defs": dict(sorted(definitions.items()))} if definitions else {}


def _summary(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip()
