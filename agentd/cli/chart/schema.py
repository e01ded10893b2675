"""The JSON Schema of the chart's values: Helm refuses with it what could not work. Pure.

Draft 7, which every Helm 3 and 4 knows. Settings are held to the same rules as the agent holds them to.
"""

from typing import Any

from agentd.cli.chart.values import Values
from agentd.settings import Settings

Json = Any  # a JSON Schema

_DRAFT = "http://json-schema.org/draft-07/schema#"
_REF = "#/$defs/{model}"

DECIDED = (
    ("telemetry", "http_host"),
    ("telemetry", "http_port"),
    ("cluster", "system_namespace"),
    ("ledger", "path"),
    ("proxy", "listen_host"),
    ("proxy", "listen_port"),
    ("proxy", "certificate_file"),
    ("proxy", "key_file"),
    ("proxy", "client_ca_file"),
)
"""Settings that the chart gives itself: they follow from its other values, or from the image."""

_SHARED_LEDGERS = ("dynamodb", "azure_table")


def values_schema() -> Json:
    """Of all values."""
    values = Values.model_json_schema(by_alias=True, ref_template=_REF)
    settings = Settings.model_json_schema(ref_template=_REF)
    definitions = {**values.pop("$defs"), **settings.pop("$defs"), "Settings": settings}
    for group, name in DECIDED:
        _properties(definitions, settings, group).pop(name)
    values["properties"]["settings"] = {"$ref": _REF.format(model="Settings")}
    values["required"] = ["image", "settings"]
    values["properties"]["env"]["propertyNames"] = {"not": {"pattern": "^AGENTD_"}}
    _condition_groups(definitions)
    schema = {"$schema": _DRAFT, **values, "allOf": [_several_replicas()], "$defs": definitions}
    return _without_titles(_open_to_helm(schema))


def _properties(definitions: Json, settings: Json, group: str) -> Json:
    reference: str = settings["properties"][group]["$ref"]
    return definitions[reference.rpartition("/")[2]]["properties"]


def _several_replicas() -> Json:
    """They share a ledger, and what they keep on disk goes with the pod: an audit log needs copies, or is not wanted."""
    ledger = {"required": ["kind"], "properties": {"kind": {"enum": list(_SHARED_LEDGERS)}}}
    audit = {
        "anyOf": [
            {"required": ["bucket"]},
            {"required": ["copy_directory"]},
            {"required": ["enabled"], "properties": {"enabled": {"const": False}}},
        ]
    }
    return {
        "if": {"properties": {"replicas": {"minimum": 2}}},
        "then": {
            "properties": {
                "settings": {"required": ["ledger", "audit"], "properties": {"ledger": ledger, "audit": audit}}
            }
        },
    }


def _condition_groups(definitions: Json) -> None:
    definitions["Image"]["required"] = ["repository"]
    definitions["Proxy"]["allOf"] = [_if_then("enabled", True, {"tlsSecret": {"minLength": 1}})]
    definitions["Identity"]["allOf"] = [
        _if_then("kind", "irsa", {"roleArn": {"pattern": r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$"}}),
        _if_then("kind", "azure", {"clientId": {"minLength": 1}}),
    ]
    definitions["Mount"]["oneOf"] = [
        {"required": [source], "properties": {source: {"minLength": 1}}} for source in ("secret", "configMap", "claim")
    ]


def _if_then(name: str, value: str | bool, then: Json) -> Json:
    return {
        "if": {"required": [name], "properties": {name: {"const": value}}},
        "then": {"required": list(then), "properties": then},
    }


def _open_to_helm(schema: Json) -> Json:
    """Helm adds `global` to every chart's values."""
    schema["properties"]["global"] = {"type": "object"}
    return schema


def _without_titles(schema: Json) -> Json:
    """Generated titles say nothing that names do not."""
    match schema:
        case dict():
            kept = {name: found for name, found in schema.items() if name != "title" or not isinstance(found, str)}
            return {name: _without_titles(found) for name, found in kept.items()}
        case list():
            return [_without_titles(item) for item in schema]
        case _:
            return schema
