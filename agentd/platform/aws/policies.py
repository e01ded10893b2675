"""Policy documents of AWS: one canonical spelling to write, compared by meaning. Pure."""

import json
import re

Json = object
_ACCOUNT_ROOT = re.compile(r"arn:[^:]+:iam::(\d{12}):root")


def canonical(value: Json) -> str:
    """The document as text, the same for equal documents."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def same_policy(left: str | None, right: str | None) -> bool:
    """Whether two policy texts mean the same."""
    if left is None or right is None:
        return left is right
    try:
        return same_document(json.loads(left), json.loads(right))
    except ValueError:  # somebody's text that is no JSON
        return False


def same_document(left: Json, right: Json) -> bool:
    """Whether two policies mean the same, whatever the order of keys and sets, and the spelling of accounts."""
    return normal(left) == normal(right)


def normal(value: Json) -> Json:
    """The one spelling of all documents that mean the same.

    Lists are sets in all policies, a list of one may be spelt as its item, an account as the ARN of its root.
    """
    if isinstance(value, dict):
        return {key: normal(item) for key, item in value.items()}
    if isinstance(value, list):
        items = [normal(item) for item in value]
        return items[0] if len(items) == 1 else sorted(items, key=canonical)
    if isinstance(value, str) and (account := _ACCOUNT_ROOT.fullmatch(value)):
        return account[1]
    return value
