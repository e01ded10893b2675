"""What a policy says of an event: which rule decides, and what comes of its conditions."""

from datetime import UTC, datetime

import pytest

from agentd.core import Hold
from agentd.dispatch.policy import Allow, Approval, Decision, Facts, Policy, Refuse, Wait, decide
from agentd.dispatch.policy.trial import looks
from agentd.events import ProjectCreate, decode
from tests.unit.dispatch.events import event, uuid
from tests.unit.dispatch.policy.policies import create, delete, deploy, package, policy, request, update

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()  # a Tuesday


def _decide(
    rules: Policy, text: str, *, facts: Facts | None = None, key_id: str | None = None, now: float = NOW
) -> Decision:
    return decide(rules, request(text, key_id=key_id), facts or Facts(), now)


def test_the_first_rule_that_matches_decides() -> None:
    rules = policy(
        """
        - {name: not-payroll, effect: refuse, projects: [payroll*], why: payroll is frozen}
        - {name: not-now, effect: wait, actors: [bob]}
        - {name: projects, effect: allow, events: [conveyor.project.*]}
        """.replace("        ", "")
    )
    assert _decide(rules, create(1)) == Allow("projects")
    assert _decide(rules, create(1, name="payroll-eu", actor="bob")) == Refuse("not-payroll", "payroll is frozen")
    assert _decide(rules, create(1, actor="bob")) == Wait("not-now", "nothing of the kind is let in for now", None)
    refused = _decide(rules, package(1, actor="eve"))
    assert refused == Refuse(
        "default", "no rule is about conveyor.package.create.v1 of eve at https://control-plane.example"
    )


def test_the_default_is_what_the_file_says() -> None:
    assert _decide(policy("- {name: one, effect: refuse, actors: [bob]}", default="allow"), create(1)) == Allow(
        "default"
    )


@pytest.mark.parametrize(
    ("match", "text", "fits"),
    [
        ("events: [conveyor.project.create.v1]", create(1), True),
        ("events: [conveyor.*.delete.v1]", create(1), False),
        ("events: [conveyor.*.delete.v1]", delete(1), True),
        ("sources: ['https://*.example']", create(1), True),
        ("sources: ['http://*.example']", create(1), False),
        ("actors: [bob, '*@example.com']", create(1, actor="ann@example.com"), True),
        ("actors: ['*']", create(1), False),
        ("actors: [Bob]", create(1, actor="bob"), False),
        ("keys: [known]", create(1), True),
        ("keys: [other]", create(1), False),
        (f"subjects: [project/{uuid(1)}]", create(1), True),
        ("subjects: ['environment/*']", create(1), False),
        ("projects: ['project-?']", create(1), True),
        ("projects: [team]", deploy("other", "team"), True),
        ("projects: [team]", deploy("other"), False),
        ("projects: ['*']", deploy(), False),
        ("environments: [prod*]", deploy("team"), True),
        ("environments: [prod*]", update("dev"), False),
        ("environments: ['*']", create(1), False),
        ("packages: [package-*]", package(1), True),
        ("actors: [bob], projects: [project-1]", create(1, actor="bob"), True),
        ("actors: [bob], projects: [project-2]", create(1, actor="bob"), False),
    ],
)
def test_every_field_that_a_rule_has_must_match(match: str, text: str, *, fits: bool) -> None:
    rules = policy(f"- {{name: one, effect: allow, {match}}}")
    assert (_decide(rules, text, key_id="known") == Allow("one")) is fits
    (look,) = looks(rules, request(text, key_id="known"), NOW)
    assert look.decides is fits


def test_a_rule_is_in_force_between_its_days() -> None:
    rules = policy("- {name: freeze, effect: wait, in_force: {first: 2026-12-20, last: 2027-01-03}}", default="allow")
    begins, ends = (datetime(*day, 23, tzinfo=UTC).timestamp() for day in ((2026, 12, 19), (2027, 1, 3)))
    frozen = Wait("freeze", "nothing of the kind is let in for now", ends)
    assert [_decide(rules, create(1), now=at) for at in (begins - 1, begins, ends - 1, ends)] == [
        Allow("default"),
        frozen,
        frozen,
        Allow("default"),
    ]


def test_outside_its_windows_an_event_waits_or_is_refused() -> None:
    window = "windows: [{days: [sat], hours: 09:00-10:00}]"
    opens = datetime(2026, 11, 28, 8, tzinfo=UTC).timestamp()
    waits = _decide(policy(f"- {{name: one, effect: allow, {window}}}"), create(1))
    assert waits == Wait("one", "its window opens 2026-11-28 09:00+01:00", opens, Hold.WINDOW)
    refused = _decide(policy(f"- {{name: one, effect: allow, {window}, otherwise: refuse}}"), create(1))
    assert refused == Refuse("one", "its window opens 2026-11-28 09:00+01:00")
    over = "windows: [{dates: {last: 2026-01-01}}]"
    assert _decide(policy(f"- {{name: one, effect: allow, {over}}}"), create(1)) == Refuse(
        "one", "its last window has closed"
    )
    assert _decide(policy(f"- {{name: one, effect: allow, {window}}}"), create(1), now=opens) == Allow("one")


def test_an_approval_is_of_one_content_by_another_person_for_a_while() -> None:
    rules = policy("- {name: deletes, effect: allow, events: ['conveyor.*.delete.*'], approval: required}")
    text = delete(1, actor="ann")
    digest = decode(text).digest

    def said(approval: Approval | None) -> Decision:
        return _decide(rules, text, facts=Facts(approval))

    hint = f": agentd policy approve {uuid(1)} --by NAME"
    assert said(None) == Wait("deletes", f"nobody has approved it{hint}", hold=Hold.APPROVAL)
    assert said(Approval(digest, "bob", NOW, NOW + 1)) == Allow("deletes")
    assert said(Approval(digest, "bob", NOW - 9, NOW)) == Wait(
        "deletes", f"the approval of bob has expired{hint}", hold=Hold.APPROVAL
    )
    assert said(Approval("sha256:0", "bob", NOW, NOW + 1)) == Wait(
        "deletes", f"what bob approved is another content{hint}", hold=Hold.APPROVAL
    )
    assert said(Approval(digest, " Ann ", NOW, NOW + 1)) == Wait(
        "deletes", f" Ann  asked for it, so somebody else has to approve it{hint}", hold=Hold.APPROVAL
    )
    anonymous = delete(1)
    approved = Facts(Approval(decode(anonymous).digest, "bob", NOW, NOW + 1))
    assert _decide(rules, anonymous, facts=approved) == Allow("deletes")


def test_a_used_up_quota_waits_or_refuses() -> None:
    quota = "quota: {events: 2, window_s: 3600}"
    facts = Facts(quota_free_at=NOW + 60)
    waits = _decide(policy(f"- {{name: one, effect: allow, {quota}}}"), create(1), facts=facts)
    assert waits == Wait(
        "one", "2 events in 3600 s have been let in; the next may be 2026-11-24 13:01+01:00", NOW + 60, Hold.QUOTA
    )
    refused = _decide(policy(f"- {{name: one, effect: allow, {quota}, otherwise: refuse}}"), create(1), facts=facts)
    assert isinstance(refused, Refuse)


def test_an_event_without_its_data_is_not_judged() -> None:
    claim = {"dataref": "s3://x/y", "datadigest": f"sha256:{'0' * 64}", "datasize": 2, "subject": f"project/{uuid(1)}"}
    with pytest.raises(ValueError, match="has no data"):
        request(event(ProjectCreate, 1, None, **claim))


def test_a_trial_says_why_each_rule_does_not_decide() -> None:
    rules = policy(
        """
        - {name: past, effect: wait, in_force: {last: 2026-01-01}}
        - {name: coming, effect: wait, in_force: {first: 2027-01-01}}
        - {name: others, effect: refuse, actors: [bob, eve]}
        - {name: environments, effect: allow, environments: ['*']}
        - {name: this-one, effect: allow, actors: [ann]}
        - {name: rest, effect: allow}
        """.replace("        ", "")
    )
    assert [(look.rule, look.decides, look.why) for look in looks(rules, request(create(1, actor="ann")), NOW)] == [
        ("past", False, "in_force: ended on 2026-01-02"),
        ("coming", False, "in_force: not before 2027-01-01"),
        ("others", False, "actors: found ann; expected bob or eve"),
        ("environments", False, "environments: found none; expected *"),
        ("this-one", True, "matches"),
        ("rest", False, "not reached: this-one decides"),
    ]
