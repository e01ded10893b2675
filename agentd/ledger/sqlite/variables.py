"""Shared variables: compare and set. Each public function is one operation."""

import json
from collections.abc import Mapping

from agentd.ledger.protocol import Variable
from agentd.ledger.sqlite.connection import Database, Parameters
from agentd.ledger.variables import MOST_VARIABLES


def get(database: Database, name: str) -> Variable | None:
    """A variable that is set."""
    row = database.one("SELECT value, version FROM variables WHERE name = :name AND value IS NOT NULL", {"name": name})
    return None if row is None else Variable(json.loads(row["value"]), row["version"])


def beginning_with(database: Database, prefix: str) -> Mapping[str, Variable]:
    """All that are set, by name, in order. A tilde sorts behind every character of a name."""
    rows = database.all(
        "SELECT name, value, version FROM variables"
        " WHERE name >= :prefix AND name < :prefix || '~' AND value IS NOT NULL ORDER BY name LIMIT :limit",
        {"prefix": prefix, "limit": MOST_VARIABLES},
    )
    return {row["name"]: Variable(json.loads(row["value"]), row["version"]) for row in rows}


def put(database: Database, name: str, text: str | None, *, version: int | None) -> bool:
    """Set or unset, if the version is as expected. An unset variable keeps its row, so that no version comes twice."""
    values: Parameters = {"name": name, "value": text, "version": version}
    if version is None:
        changed = database.execute(
            "INSERT INTO variables (name, value, version) VALUES (:name, :value, 1)"
            " ON CONFLICT DO UPDATE SET value = excluded.value, version = version + 1 WHERE value IS NULL",
            values,
        )
    else:
        changed = database.execute(
            "UPDATE variables SET value = :value, version = version + 1"
            " WHERE name = :name AND version = :version AND value IS NOT NULL",
            values,
        )
    return changed.rowcount == 1
