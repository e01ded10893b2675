"""Documents as entities, and changes as operations of a batch. Pure.

The whole ledger is in one partition, where alone a batch is all or nothing. A row's key is the document's partition and name;
`v` is the id of the write that it is from, `body` its content. An entity's version is its ETag.
"""

from collections.abc import Mapping
from typing import Any

from azure.core import MatchConditions
from azure.data.tables import TableEntity, UpdateMode

from agentd.ledger.documents import Change, Delete, Expected, Place, Put, Stored

Operation = tuple[str, Mapping[str, Any], Mapping[str, Any]]
"""As the SDK takes it: what to do, an entity, and the condition."""

_BETWEEN = "|"
# A slash is not allowed in a key. Moved down by one, three characters that follow each other keep the order.
_TO_ROW = str.maketrans("-./", "!-.")
_FROM_ROW = str.maketrans("!-.", "-./")


def row_of(place: Place) -> str:
    """The row's key. Rows of a partition of documents are in the order of the documents' names."""
    return f"{place.partition}{_BETWEEN}{place.name}".translate(_TO_ROW)


def rows_of(partition: str, first: str, before: str | None) -> tuple[str, str]:
    """The first row, and the row before which the last one is."""
    end = f"{partition}{_BETWEEN}{before}" if before is not None else f"{partition}{chr(ord(_BETWEEN) + 1)}"
    return row_of(Place(partition, first)), end.translate(_TO_ROW)


def stored(entity: TableEntity) -> Stored:
    """The document that an entity is."""
    partition, _, name = str(entity["RowKey"]).translate(_FROM_ROW).partition(_BETWEEN)
    return Stored(Place(partition, name), str(entity.metadata["etag"]), str(entity["v"]), bytes(entity["body"]))


def operation(partition: str, change: Change, write_id: str) -> Operation:
    """A change as an operation of a batch."""
    key = {"PartitionKey": partition, "RowKey": row_of(change.place)}
    if isinstance(change, Delete):
        return "delete", key, _condition(change.expected)
    return _put({**key, "v": write_id, "body": change.body}, change)


def _put(entity: Mapping[str, Any], change: Put) -> Operation:
    match change.expected:
        case Expected.ABSENT:
            return "create", entity, {}
        case Expected.ANYTHING:
            return "upsert", entity, {"mode": UpdateMode.REPLACE}
        case version:
            return "update", entity, {"mode": UpdateMode.REPLACE, **_condition(version)}


def _condition(expected: str | Expected) -> Mapping[str, Any]:
    if isinstance(expected, Expected):
        return {}
    return {"etag": expected, "match_condition": MatchConditions.IfNotModified}
