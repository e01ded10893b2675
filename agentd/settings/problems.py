"""What is wrong with settings, in one line each."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from agentd.settings.tree import CONFIG_VARIABLE, Json, Leaf, Settings, is_group, leaves, variable_of
from agentd.telemetry.redact import REDACTED, names_secret, redact_text

DEFAULT = "default"

# Belongs to the test suites; a daemon that they start inherits it.
_TEST_PREFIX = "AGENTD_TEST_"
# Kubernetes describes every Service of a namespace to its pods; for one named agentd-... these begin with our prefix.
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$")
_SERVICE_LINK_VALUE = re.compile(r"^(tcp|udp|sctp)://")
_MOST_FOUND = 80


class SettingsError(Exception):
    """The settings cannot be used. One problem a line: key, where the value came from, what was found, what is allowed."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def unknown_variables(given: Mapping[str, str], variables: Mapping[str, Leaf]) -> list[str]:
    """A line for each variable of ours that is none of the tree's."""
    return [
        f"{name}: unknown environment variable{_nearest(name.upper(), [*variables, CONFIG_VARIABLE])}"
        for name in sorted(given)
        if _is_unknown(name, given[name], variables)
    ]


def problems_of(error: ValidationError, origins: Mapping[str, str], file: Path | None) -> list[str]:
    """A line for each value that cannot be used. What could only not be derived from another such value is left out."""
    details = error.errors(include_url=False)
    return [_problem(detail, origins, file) for detail in details if detail["type"] != "default_factory_not_called"]


def _is_unknown(name: str, value: str, variables: Mapping[str, Leaf]) -> bool:
    if name in variables or name.startswith(_TEST_PREFIX) or _SERVICE_LINK.search(name):
        return False
    return not (name.endswith("_PORT") and _SERVICE_LINK_VALUE.match(value))


def _problem(detail: ErrorDetails, origins: Mapping[str, str], file: Path | None) -> str:
    key = ".".join(str(part) for part in detail["loc"]) or "settings"
    leaf = next((known for known in origins if key == known or key.startswith(f"{known}.")), None)
    # A key that is none of the tree's can only have come from the file: unknown variables are told of elsewhere.
    where = _where(leaf or key, origins) or (f" (file {file})" if file is not None and leaf is None else "")
    rule = _rule(detail)
    match detail["type"]:
        case "missing":
            return f"{key}: is missing; set {variable_of(key)}, or the key in a settings file"
        case "extra_forbidden" | "invalid_key":
            return f"{key}{where}: unknown key{_nearest(key, _all_keys())}"
        case _ if leaf is None and isinstance(detail["input"], Mapping):
            return f"{key}{where}: {rule}"
        case _:
            found = REDACTED if names_secret(key) else found_text(detail["input"])
            return f"{key}{where}: found {found}; {rule}"


def _rule(detail: ErrorDetails) -> str:
    if detail["type"] in ("tuple_type", "list_type"):
        return 'expected a list; in a variable as JSON, such as ["a", "b"]'
    if detail["type"] == "model_type":
        return "expected keys with values"
    rule = detail["msg"].removeprefix("Value error, ")
    return rule[:1].lower() + rule[1:]


def _where(key: str, origins: Mapping[str, str]) -> str:
    """Where a key's value came from, or for a group, where those of its keys that are no defaults came from."""
    concerned = {origin for known, origin in origins.items() if known == key or known.startswith(f"{key}.")}
    told = sorted(concerned - {DEFAULT})
    return f" ({', '.join(told)})" if told else ""


def _all_keys() -> list[str]:
    return [
        *(leaf.key for leaf in leaves(Settings)),
        *(n for n, field in Settings.model_fields.items() if is_group(field)),
    ]


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def found_text(value: Json) -> str:
    """A value as an error shows it: short, and without what looks like a secret."""
    text = redact_text(repr(value) if isinstance(value, str) else json.dumps(value, default=str))
    return text if len(text) <= _MOST_FOUND else f"{text[:_MOST_FOUND]}..."
