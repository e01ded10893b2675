"""How roles are named. Pure.

Source: the IAM API reference: a role's name has at most 64 characters and is unique in the account, whatever its path.
"""

import re
from hashlib import sha256

_MOST = 64
_SUFFIX = 8
_ACCOUNT = re.compile(r"arn:(?P<partition>[^:]+):[^:]+:[^:]*:(?P<account>\d{12}):")


def role_name(prefix: str, name: str) -> str:
    """The role of an identity: `<prefix><name>`. One that is too long ends in a hash of the whole, always the same."""
    whole = f"{prefix}{name}"
    if len(whole) <= _MOST:
        return whole
    return f"{whole[: _MOST - _SUFFIX - 1]}-{sha256(whole.encode()).hexdigest()[:_SUFFIX]}"


def role_arn(name_or_arn: str, *, beside: str) -> str:
    """The ARN of a role. A bare name, with its path or without, is of the same account as the ARN `beside`."""
    if name_or_arn.startswith("arn:"):
        return name_or_arn
    account = _ACCOUNT.match(beside)
    if account is None:
        raise ValueError(f"{beside} is no ARN of an account")
    return f"arn:{account['partition']}:iam::{account['account']}:role/{name_or_arn.lstrip('/')}"


def same_account(left: str, right: str) -> bool:
    """Whether two ARNs are of one account."""
    accounts = [found and found["account"] for found in map(_ACCOUNT.match, (left, right))]
    return None not in accounts and accounts[0] == accounts[1]


def role_object(role: str) -> str:
    """What fences and errors call a role."""
    return f"iam:role/{role}"
