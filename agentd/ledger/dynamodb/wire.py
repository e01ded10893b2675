"""Documents as items, and changes as requests. Pure.

`pk` and `sk` are a document's place, `v` the id of the write that it is from, `body` its content.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentd.ledger.documents import Delete, Expected, Place, Put, Stored

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.type_defs import (
        AttributeValueTypeDef,
        CreateTableInputTypeDef,
        DeleteTypeDef,
        PutTypeDef,
        QueryInputTypeDef,
    )

Item = Mapping[str, Any]  # attribute values as the SDK types them; ours are all text, but for the body


def key_of(place: Place) -> "dict[str, AttributeValueTypeDef]":
    """The item's key."""
    return {"pk": {"S": place.partition}, "sk": {"S": place.name}}


def stored(item: Item) -> Stored:
    """The document that an item is."""
    version = str(item["v"]["S"])
    return Stored(Place(item["pk"]["S"], item["sk"]["S"]), version, version, bytes(item["body"]["B"]))


def put(table: str, change: Put, write_id: str) -> "PutTypeDef":
    """A put, on condition."""
    item = {**key_of(change.place), "v": {"S": write_id}, "body": {"B": change.body}}
    request: PutTypeDef = {"TableName": table, "Item": item}
    _set_condition(request, change.expected)
    return request


def delete(table: str, change: Delete) -> "DeleteTypeDef":
    """A delete, on condition."""
    request: DeleteTypeDef = {"TableName": table, "Key": key_of(change.place)}
    _set_condition(request, change.expected)
    return request


def query(table: str, partition: str, first: str, before: str | None) -> "QueryInputTypeDef":
    """The documents of a partition from `first` on; `before` itself may be among them."""
    ends = {":first": first or None, ":before": before}
    values = {name: text for name, text in {":pk": partition, **ends}.items() if text is not None}
    # There can be one condition on the sort key, and a range has both its ends in it.
    conditions = {
        (True, True): " AND sk BETWEEN :first AND :before",
        (True, False): " AND sk >= :first",
        (False, True): " AND sk < :before",
        (False, False): "",
    }
    return {
        "TableName": table,
        "ConsistentRead": True,
        "KeyConditionExpression": f"pk = :pk{conditions[':first' in values, ':before' in values]}",
        "ExpressionAttributeValues": {name: {"S": text} for name, text in values.items()},
    }


def create_table(table: str) -> "CreateTableInputTypeDef":
    """A table that is paid by use, and that nobody deletes by mistake."""
    return {
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "DeletionProtectionEnabled": True,
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
    }


def _set_condition(request: "PutTypeDef | DeleteTypeDef", expected: str | Expected) -> None:
    match expected:
        case Expected.ANYTHING:
            pass
        case Expected.ABSENT:
            request["ConditionExpression"] = "attribute_not_exists(pk)"
        case version:
            request["ConditionExpression"] = "v = :v"
            request["ExpressionAttributeValues"] = {":v": {"S": version}}
