"""Names, label keys and values, as the API wants them. Pure."""

import re

DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
DNS_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_QUALIFIED_NAME = re.compile(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")

_LABEL_LENGTH = 63
_SUBDOMAIN_LENGTH = 253

_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    r"'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_QUALIFIED_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    r"'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_PATH_PARTS = (".", "..")


def subdomain_faults(name: str) -> list[str]:
    """What is wrong with a name that most kinds use."""
    faults = [_too_long(_SUBDOMAIN_LENGTH)] if len(name) > _SUBDOMAIN_LENGTH else []
    return faults if DNS_SUBDOMAIN.match(name) else [*faults, _SUBDOMAIN_TEXT]


def label_faults(name: str) -> list[str]:
    """What is wrong with a name that becomes a part of a host name."""
    faults = [_too_long(_LABEL_LENGTH)] if len(name) > _LABEL_LENGTH else []
    return faults if DNS_LABEL.match(name) else [*faults, _LABEL_TEXT]


def path_faults(name: str) -> list[str]:
    """What is wrong with a name that may be anything that fits into a path."""
    if name in _PATH_PARTS:
        return [f"may not be '{name}'"]
    return [f"may not contain '{part}'" for part in ("/", "%") if part in name]


def label_value_faults(value: str) -> list[str]:
    """What is wrong with a label's value."""
    faults = [_too_long(_LABEL_LENGTH)] if len(value) > _LABEL_LENGTH else []
    return faults if _LABEL_VALUE.match(value) else [*faults, _VALUE_TEXT]


def qualified_name_faults(key: str) -> list[str]:
    """What is wrong with a label's or an annotation's key."""
    prefix, slash, name = key.rpartition("/")
    faults = []
    if slash and not prefix:
        faults.append("prefix part must be non-empty")
    elif slash:
        faults += [f"prefix part {fault}" for fault in subdomain_faults(prefix)]
    if not name:
        faults.append("name part must be non-empty")
    elif len(name) > _LABEL_LENGTH:
        faults.append(f"name part {_too_long(_LABEL_LENGTH)}")
    return faults if _QUALIFIED_NAME.match(name) else [*faults, _QUALIFIED_TEXT]


def _too_long(most: int) -> str:
    return f"must be no more than {most} bytes"
