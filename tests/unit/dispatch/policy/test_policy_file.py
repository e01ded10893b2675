"""Policy files: what they may say, and how what is wrong with one is told."""

import re
from pathlib import Path

import pytest

import agentd
from agentd.dispatch.policy import Policy, read_policy

WHOLE = """
version: 1
default: refuse
time_zone: Europe/Brussels
rules:
  - name: holidays
    why: nobody is there to look
    effect: wait
    in_force: {first: 2026-12-20, last: 2027-01-03}
  - name: nothing-of-payroll
    effect: refuse
    projects: [payroll*]
  - name: deletes
    effect: allow
    events: ["conveyor.*.delete.v*"]
    approval: required
  - name: production
    effect: allow
    events: [conveyor.environment.*]
    environments: [prod*]
    keys: [control-plane-*]
    subjects: ["environment/*"]
    sources: ["https://*.example"]
    windows:
      - {days: [mon-thu], hours: 09:00-16:30}
      - {days: [sat, sun], hours: 22:00-24:00, dates: {first: 2026-01-01}}
    quota: {events: 20, window_s: 86400}
    otherwise: refuse
  - name: packages
    effect: allow
    actors: ["*@example.com"]
    packages: ["*"]
"""


def _with(rule: str) -> str:
    return f"version: 1\ndefault: refuse\nrules:\n  - {{name: one, effect: allow, {rule}}}\n"


def _problem(text: str | bytes) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        read_policy(text if isinstance(text, bytes) else text.encode())
    return str(caught.value)


def test_a_whole_policy_is_read() -> None:
    read = read_policy(WHOLE.encode())
    assert isinstance(read, Policy)
    holidays, payroll, deletes, production, packages = read.rules
    assert (holidays.why, holidays.begins, holidays.ends) == (
        "nobody is there to look",
        1766185200 + 365 * 86400,
        1799017200,
    )
    assert [str(matcher.globs) for matcher in payroll.matchers] == ["payroll*"]
    assert deletes.approval
    assert production.quota is not None
    assert (production.quota.events, production.quota.window_s, production.otherwise.value) == (20, 86400, "refuse")
    assert production.schedule is not None
    assert [str(window) for window in production.schedule.windows] == [
        "mon, tue, wed, thu 09:00 to 16:30",
        "sat, sun 22:00 to 00:00, 2026-01-01 to ...",
    ]
    assert not packages.asks_ledger


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "found null"),
        ("a: [", "no YAML"),
        (b"\xff\xfe\x00", "no YAML"),
        ("a: 2026-02-30", "no YAML: day is out of range"),
        ("[" * 500, "no YAML"),
        ("version: 2\ndefault: allow\nrules: []", "version: found 2"),
        ("version: 1\nrules: []", "default: is missing"),
        ("version: 1\ndefault: wait\nrules: []", "default: found 'wait'"),
        ("version: 1\ndefault: allow\ndefault: refuse\nrules: []", "'default' is given twice"),
        ("version: 1\ndefault: allow\nrules: []\ntime_zone: Mars/Base", "expected a time zone"),
        ("version: 1\ndefault: allow\nrules: []\ntime_zone: /etc/passwd", "expected a time zone"),
        (_with("event: [conveyor.*]"), "rules.0.event: found"),
        (_with("events: conveyor.*"), "rules.0.events: found 'conveyor.*'"),
        (_with("events: [conveyor.enviroment.*]"), "no event type fits 'conveyor.enviroment.*'"),
        (_with("actors: []"), "rules.0.actors: found []"),
        (_with("windows: [{days: [monday]}]"), "found 'monday'; expected days"),
        (_with("windows: [{days: [fri-mon]}]"), "found 'fri-mon'; expected days"),
        (_with("windows: [{hours: 9:00-16:00}]"), "expected hours such as"),
        (_with("windows: [{hours: 09:00-25:00}]"), "expected hours such as"),
        (_with("windows: [{dates: {}}]"), "give first, last, or both"),
        (_with("in_force: {first: 2026-02-01, last: 2026-01-01}"), "last must not be before first"),
        (_with("quota: {events: 0, window_s: 60}"), "rules.0.quota.events: found 0"),
        (_with("quota: {events: 401, window_s: 60}"), "less than or equal to 400"),
        (_with("approval: optional"), "rules.0.approval: found 'optional'"),
        (_with("otherwise: wait"), "otherwise: is for an event outside"),
        (_with("effect: refuse"), "'effect' is given twice"),
        (
            "version: 1\ndefault: allow\nrules:\n  - {name: a, effect: refuse, approval: required}",
            "only a rule that allows",
        ),
        ("version: 1\ndefault: allow\nrules:\n  - {name: default, effect: refuse}", "choose another name"),
        ("version: 1\ndefault: allow\nrules:\n  - {name: A b, effect: refuse}", "rules.0.name: found 'A b'"),
    ],
)
def test_what_is_wrong_is_told_with_its_path(text: str | bytes, told: str) -> None:
    assert told in _problem(text)


def test_the_policies_of_the_documentation_are_good_ones() -> None:
    text = (Path(agentd.__file__).parents[1] / "docs" / "policy.md").read_text()
    examples = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    read = [read_policy(example.encode()) for example in examples]
    assert [[rule.name for rule in policy.rules] for policy in read] == [
        ["deletes", "control-plane"],
        ["emergencies", "holidays", "production"],
        ["payroll-is-frozen", "team-orders"],
    ]


@pytest.mark.parametrize(
    ("earlier", "later", "is_shadowed"),
    [
        ("actors: ['*']", "actors: [bob]", True),
        ("actors: [bob, eve]", "actors: [bob], projects: [x]", True),
        ("actors: [bob]", "actors: [bob, eve]", False),
        ("actors: [bob], projects: [x]", "actors: [bob]", False),
        ("in_force: {last: 2026-01-01}", "actors: [bob]", False),
        ("events: ['conveyor.*']", "actors: [bob]", False),
    ],
)
def test_a_rule_that_can_never_decide_is_refused(earlier: str, later: str, *, is_shadowed: bool) -> None:
    rules = f"  - {{name: one, effect: refuse, {earlier}}}\n  - {{name: two, effect: allow, {later}}}\n"
    text = f"version: 1\ndefault: refuse\nrules:\n{rules}"
    if is_shadowed:
        assert _problem(text) == "rules.1: 'two' can never decide: 'one' before it matches everything that it matches"
    else:
        assert len(read_policy(text.encode()).rules) == 2
