"""A policy as the customer writes it: a small YAML file, read strictly.

Every problem is told with its path, what was found and what is allowed. A rule that can never decide, and a pattern that no
event type fits, are problems too: they are not what their writer meant.
"""

import re
from collections.abc import Hashable, Iterator
from dataclasses import replace
from datetime import date, time, timedelta
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from agentd.core.globs import Globs
from agentd.dispatch.policy.counting import MOST_COUNTED
from agentd.dispatch.policy.rules import DEFAULT, FIELDS, Effect, Matcher, Policy, Quota, Rule
from agentd.dispatch.policy.windows import DAYS, Dates, Schedule, Window, start_of
from agentd.events import CATALOGUE
from agentd.events.problems import explain

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)")
_MOST_RULES = 200
_MOST_QUOTA_S = 31 * 86400.0


def _known_types(patterns: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in patterns:
        if not any(Globs.of((pattern,)).match(event_type) for event_type in CATALOGUE):
            raise ValueError(f"no event type fits {pattern!r}; there are {', '.join(sorted(CATALOGUE))}")
    return patterns


def _known_days(days: tuple[str, ...]) -> tuple[str, ...]:
    """Every day by name, ranges such as mon-fri spelt out."""
    return tuple(day for text in days for day in _days(text))


def _days(text: str) -> tuple[str, ...]:
    first, _, last = text.partition("-")
    if first not in DAYS or (last or first) not in DAYS or DAYS.index(last or first) < DAYS.index(first):
        raise ValueError(f"found {text!r}; expected days such as mon or mon-fri, of {', '.join(DAYS)}")
    return DAYS[DAYS.index(first) : DAYS.index(last or first) + 1]


def _known_hours(text: str) -> str:
    if not _HOURS.fullmatch(text):
        raise ValueError("expected hours such as 09:00-16:30 or 22:00-24:00")
    return text


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError("expected a time zone of the IANA database, such as Europe/Brussels") from error
    return name


_Pattern = Annotated[str, StringConstraints(min_length=1, max_length=512)]
_Patterns = Annotated[tuple[_Pattern, ...], Field(min_length=1, max_length=200)]
_Types = Annotated[_Patterns, AfterValidator(_known_types)]
_Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=63)]
_Words = Annotated[str, StringConstraints(min_length=1, max_length=500)]
_Otherwise = Literal["wait", "refuse"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Dates(_Part):
    first: date | None = None
    last: date | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first is None and self.last is None:
            raise ValueError("give first, last, or both")
        if self.first is not None and self.last is not None and self.last < self.first:
            raise ValueError("last must not be before first")
        return self

    def dates(self) -> Dates:
        return Dates(self.first, self.last)


class _Window(_Part):
    days: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_known_days)] = DAYS
    hours: Annotated[str, AfterValidator(_known_hours)] = "00:00-24:00"
    dates: _Dates | None = None

    def window(self) -> Window:
        opens, _, closes = self.hours.partition("-")
        return Window(
            days=frozenset(DAYS.index(day) for day in self.days),
            opens=time.fromisoformat(opens),
            closes=time.fromisoformat(closes.replace("24:00", "00:00")),
            dates=self.dates.dates() if self.dates else Dates(),
        )


class _Quota(_Part):
    events: Annotated[int, Field(ge=1, le=MOST_COUNTED)]
    window_s: Annotated[float, Field(ge=1, le=_MOST_QUOTA_S)]


class _Rule(_Part):
    name: _Name
    effect: Effect
    why: _Words | None = None
    events: _Types | None = None
    sources: _Patterns | None = None
    actors: _Patterns | None = None
    keys: _Patterns | None = None
    subjects: _Patterns | None = None
    environments: _Patterns | None = None
    projects: _Patterns | None = None
    packages: _Patterns | None = None
    in_force: _Dates | None = None
    windows: Annotated[tuple[_Window, ...], Field(min_length=1, max_length=50)] | None = None
    approval: Literal["required"] | None = None
    quota: _Quota | None = None
    otherwise: _Otherwise | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.name == DEFAULT:
            raise ValueError(f"name: {DEFAULT!r} is what decides where no rule matches; choose another name")
        conditions = [name for name in ("windows", "approval", "quota") if getattr(self, name) is not None]
        if conditions and self.effect is not Effect.ALLOW:
            raise ValueError(f"{', '.join(conditions)}: only a rule that allows has conditions")
        if self.otherwise is not None and self.windows is None and self.quota is None:
            raise ValueError("otherwise: is for an event outside the windows or beyond the quota; the rule has neither")
        return self

    def rule(self, zone: ZoneInfo) -> Rule:
        force = self.in_force.dates() if self.in_force else Dates()
        return Rule(
            name=self.name,
            effect=self.effect,
            matchers=tuple(self._matchers()),
            why=self.why,
            begins=None if force.first is None else start_of(force.first, zone),
            ends=None if force.last is None else start_of(force.last + timedelta(days=1), zone),
            schedule=None if self.windows is None else Schedule([window.window() for window in self.windows], zone),
            approval=self.approval is not None,
            quota=None if self.quota is None else Quota(self.quota.events, self.quota.window_s),
            otherwise=Effect(self.otherwise or Effect.WAIT),
        )

    def _matchers(self) -> Iterator[Matcher]:
        for field in FIELDS:
            patterns: tuple[str, ...] | None = getattr(self, field)
            if patterns is not None:
                yield Matcher(field, Globs.of(patterns))


class _File(_Part):
    version: Literal[1]
    default: Literal["allow", "refuse"]
    time_zone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    rules: Annotated[tuple[_Rule, ...], Field(max_length=_MOST_RULES)]

    @model_validator(mode="after")
    def _each_name_once(self) -> Self:
        names = [rule.name for rule in self.rules]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"rules: two have the name {name!r}")
        return self


def read_policy(text: bytes) -> Policy:
    """The policy in a file's text. ValueError says all that is wrong with it."""
    try:
        # No more than the safe loader does, but for keys that are given twice.
        document = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"no YAML: {error}") from error
    try:
        file = _File.model_validate(document)
    except ValidationError as error:
        raise ValueError(explain(error)) from error
    zone = ZoneInfo(file.time_zone)
    rules = tuple(rule.rule(zone) for rule in file.rules)
    _refuse_shadowed(rules)
    by_type = {event_type: tuple(_concerning(rules, event_type)) for event_type in CATALOGUE}
    return Policy(Effect(file.default), zone, rules, by_type)


class _StrictLoader(yaml.SafeLoader):
    """A key that is given twice is an error: of two limits only the last would count."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _concerning(rules: tuple[Rule, ...], event_type: str) -> Iterator[Rule]:
    """The rules that may match an event of the type, without that condition."""
    for rule in rules:
        on_type = [matcher for matcher in rule.matchers if matcher.field == "events"]
        if all(matcher.globs.match(event_type) for matcher in on_type):
            yield replace(rule, matchers=tuple(matcher for matcher in rule.matchers if matcher not in on_type))


def _refuse_shadowed(rules: tuple[Rule, ...]) -> None:
    """A rule behind one that matches all that it does would never decide. Found where patterns say so letter by letter."""
    for number, rule in enumerate(rules):
        for earlier in rules[:number]:
            if _covers(earlier, rule):
                raise ValueError(
                    f"rules.{number}: {rule.name!r} can never decide: "
                    f"{earlier.name!r} before it matches everything that it matches"
                )


def _covers(earlier: Rule, later: Rule) -> bool:
    if earlier.begins is not None or earlier.ends is not None:
        return False
    patterns = {matcher.field: frozenset(matcher.globs.patterns) for matcher in later.matchers}
    return all(
        matcher.field in patterns
        and ("*" in matcher.globs.patterns or patterns[matcher.field] <= set(matcher.globs.patterns))
        for matcher in earlier.matchers
    )
