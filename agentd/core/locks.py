"""Locks over subjects that an event declares beside its own."""

from dataclasses import dataclass
from enum import StrEnum

from agentd.core.subject import Subject


class LockMode(StrEnum):
    """Readers share; a writer excludes everybody."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True, order=True)
class Lock:
    """One subject, and whether it may change meanwhile."""

    subject: Subject
    mode: LockMode
