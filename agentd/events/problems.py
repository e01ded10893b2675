"""What is wrong with a document, in words: the path, what was found and what is allowed."""

import json

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_MOST_FOUND = 80
_MOST_ERRORS = 5


def explain(error: ValidationError, prefix: tuple[str, ...] = ()) -> str:
    """The first few problems, one after the other. Paths begin with the prefix."""
    details = error.errors(include_url=False)
    lines = [_explain_one(detail, prefix) for detail in details[:_MOST_ERRORS]]
    if len(details) > _MOST_ERRORS:
        lines.append(f"and {len(details) - _MOST_ERRORS} more")
    return "; ".join(lines)


def found(value: object) -> str:
    """What was found, short enough for a message."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    shown = repr(text) if isinstance(value, str) else text
    return shown if len(shown) <= _MOST_FOUND else shown[:_MOST_FOUND] + "..."


def _explain_one(detail: ErrorDetails, prefix: tuple[str, ...]) -> str:
    path = ".".join(str(part) for part in (*prefix, *detail["loc"])) or "$"
    rule = detail["msg"][:1].lower() + detail["msg"][1:]
    if detail["type"] == "missing":
        return f"{path}: is missing; a value is required"
    return f"{path}: found {found(detail['input'])}; {rule}"
