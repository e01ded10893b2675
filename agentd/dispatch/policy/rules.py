"""What a policy is once it has been read, and which of its rules is an event's. Pure; made for the hot path."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Self, TypeAlias
from zoneinfo import ZoneInfo

from agentd.core import lean
from agentd.core.globs import Globs
from agentd.dispatch.policy.windows import Schedule
from agentd.events import EnvironmentDeploy, Event, EventData

Values: TypeAlias = Callable[["Request"], tuple[str, ...]]

DEFAULT = "default"
"""Stands for the rule's name where no rule matches; no rule is called so."""


class Effect(StrEnum):
    """What a rule does with the events that it matches."""

    ALLOW = "allow"
    """Let them in, under the rule's conditions."""
    REFUSE = "refuse"
    """End them as rejected(policy_refused)."""
    WAIT = "wait"
    """Put them off for as long as the rule is in force."""


@lean(frozen=True, slots=True)
class Request:
    """What a policy looks at: an event whose data is there, and the id of the key that vouches for it."""

    event: Event
    data: EventData
    key_id: str | None

    @classmethod
    def of(cls, event: Event, key_id: str | None) -> Self:
        """ValueError: the event's data has not been fetched, so nobody can tell whom it concerns."""
        if event.data is None:
            raise ValueError(f"{event.key} has no data")
        return cls(event, event.data, key_id)


def _names_in(field: str) -> Values:
    """A name in the data of those events that have one."""

    def values(request: Request) -> tuple[str, ...]:
        return (getattr(request.data, field),) if field in type(request.data).model_fields else ()

    return values


def _projects(request: Request) -> tuple[str, ...]:
    """The project that the event is about, or all that an environment is to have."""
    data = request.data
    return (
        tuple(project.project_name for project in data.projects)
        if isinstance(data, EnvironmentDeploy)
        else _project(request)
    )


_project = _names_in("project_name")

FIELDS: Mapping[str, Values] = MappingProxyType(
    {
        "events": lambda request: (request.event.envelope.type,),
        "sources": lambda request: (request.event.envelope.source,),
        "actors": lambda request: (request.event.envelope.actor,) if request.event.envelope.actor else (),
        "keys": lambda request: (request.key_id,) if request.key_id else (),
        "subjects": lambda request: (request.event.envelope.subject,),
        "environments": _names_in("environment_name"),
        "projects": _projects,
        "packages": _names_in("package_name"),
    }
)
"""What rules can match on, and an event's values of it. Of each field that a rule has, one pattern must match one value."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """One field of a rule: it matches when one of the event's values fits one of the patterns."""

    field: str
    globs: Globs

    def matches(self, request: Request) -> bool:
        """Whether it does. An event without such a value does not match."""
        return any(map(self.globs.match, FIELDS[self.field](request)))


@dataclass(frozen=True, slots=True)
class Quota:
    """At most so many events in any such stretch of time."""

    events: int
    window_s: float


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `begins` and `ends` are when it is in force, in seconds since the epoch; None is always.

    `otherwise` is what becomes of an event outside the windows or beyond the quota. An approval is always waited for.
    """

    name: str
    effect: Effect
    matchers: tuple[Matcher, ...]
    why: str | None = None
    begins: float | None = None
    ends: float | None = None
    schedule: Schedule | None = None
    approval: bool = False
    quota: Quota | None = None
    otherwise: Effect = Effect.WAIT

    def in_force(self, now: float) -> bool:
        """Whether it counts at all."""
        return (self.begins is None or self.begins <= now) and (self.ends is None or now < self.ends)

    def matches(self, request: Request) -> bool:
        """Whether every field that it has matches."""
        return all(matcher.matches(request) for matcher in self.matchers)

    @property
    def asks_ledger(self) -> bool:
        """Whether it takes more than the event and the clock to decide."""
        return self.approval or self.quota is not None


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole policy. `by_type` has, in order, the rules that may concern a type of event, which need not look at it again."""

    default: Effect
    zone: ZoneInfo
    rules: tuple[Rule, ...]
    by_type: Mapping[str, tuple[Rule, ...]]

    def find(self, request: Request, now: float) -> Rule | None:
        """The rule that decides: the first that is in force and matches."""
        for rule in self.by_type[request.event.envelope.type]:
            if rule.in_force(now) and rule.matches(request):
                return rule
        return None
