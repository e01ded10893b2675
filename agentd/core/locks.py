"""Locks over subjects that an event declares beside its own."""

from enum import StrEnum
from typing import NamedTuple

from agentd.core.subject import Subject


class LockMode(StrEnum):
    """Readers share; a writer excludes everybody."""

    READ = "read"
    WRITE = "write"


class Lock(NamedTuple):
    """One subject, and whether it may change meanwhile."""

    subject: Subject
    mode: LockMode
