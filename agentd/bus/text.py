"""What queues take as text. The rule is that of XML 1.0, which SQS keeps for bodies and attributes."""

import re

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Matches one character that a queue refuses."""

MAX_ATTRIBUTES = 10
"""Attributes of one message."""


def safe(text: str, *, most: int) -> str:
    """The text, cut to `most` characters, with the replacement character where a queue would refuse one."""
    return FORBIDDEN.sub("\ufffd", text[:most])
