"""Settings in force, as people read them."""

import json
from dataclasses import dataclass

from agentd.settings.loading import Loaded
from agentd.settings.tree import Json, Settings, leaves
from agentd.telemetry.redact import REDACTED, names_secret, redact_text


@dataclass(frozen=True, slots=True)
class Row:
    """A setting in force, redacted, as text."""

    key: str
    value: str
    origin: str


def effective(loaded: Loaded) -> tuple[Row, ...]:
    """Every setting in force."""
    values = loaded.settings.model_dump(mode="json")
    return tuple(
        Row(leaf.key, _shown(leaf.key, _pick(values, leaf.path)), loaded.origins[leaf.key]) for leaf in leaves(Settings)
    )


def _pick(values: Json, path: tuple[str, ...]) -> Json:
    for name in path:
        values = values[name]
    return values


def _shown(key: str, value: Json) -> str:
    if value is None:
        return "-"
    if names_secret(key):
        return REDACTED
    return redact_text(value) if isinstance(value, str) else redact_text(number_text(value))


def number_text(value: Json) -> str:
    """A JSON value, numbers as people write them: 30, not 30.0."""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole else json.dumps(value)
