"""`agentd policy`, `budget`, `intake`, `keys` and `send --sign-key`, as people and their scripts use them."""

import asyncio
import json
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest
from click.testing import CliRunner, Result

from agentd.cli import main
from agentd.core import NotReady, system_runtime
from agentd.dispatch.admission import admission_of
from agentd.dispatch.policy import Budget, BudgetConfig, approval_of
from agentd.events import KeySet, SignaturesConfig, Verifier, decode, new_signing_key, private_jwk, sign, signing_key
from agentd.ledger import Ledger, LedgerConfig
from agentd.ledger.sqlite import SqliteLedger
from tests.unit.dispatch.events import AUDIENCE, create, delete, uuid

T = TypeVar("T")
Json = Any  # what a command prints

POLICY = """
version: 1
default: refuse
rules:
  - name: nights
    effect: wait
    actors: [bob]
    why: bob sleeps
  - name: deletes
    effect: allow
    events: ["conveyor.*.delete.*"]
    approval: required
  - name: signed
    effect: allow
    keys: [control-plane]
    quota: {events: 5, window_s: 60}
    windows: [{days: [tue]}]
"""


class Shell:
    """The command line with a ledger, a policy and an event in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.policy = folder / "policy.yaml"
        self.event = folder / "event.json"
        self.ledger = folder / "ledger.db"
        self.policy.write_text(POLICY)
        self.event.write_text(create(1, actor="ann"))

    def run(self, *arguments: object, **environment: str) -> Result:
        """A command."""
        settings = {
            "AGENTD_TENANT_ID": AUDIENCE.tenant_id,
            "AGENTD_CLUSTER_ID": AUDIENCE.cluster_id,
            "AGENTD_COMMANDS__QUEUE_URL": "https://sqs.example/1/commands",
            "AGENTD_REPORTS_QUEUE_URL": "https://sqs.example/1/reports",
            "AGENTD_LEDGER__PATH": str(self.ledger),
        }
        words = [str(argument) for argument in arguments]
        return CliRunner().invoke(main, words, env={**settings, **environment}, catch_exceptions=False)

    def json(self, *arguments: object, **environment: str) -> Json:
        """What a command prints for machines."""
        return json.loads(self.run(*arguments, "-o", "json", **environment).stdout)

    def with_ledger(self, work: Callable[[Ledger], Awaitable[T]]) -> T:
        """Do something on the ledger, as the daemon would."""

        async def opened() -> T:
            config = LedgerConfig(path=self.ledger)
            ledger = await SqliteLedger.open(config, observe=lambda _what, _result, _seconds: None)
            try:
                return await work(ledger)
            finally:
                await ledger.close()

        return asyncio.run(opened())


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A command line."""
    return Shell(tmp_path)


# -- policy ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (("--key", "control-plane", "--now", "2026-11-24T10:00"), 0, {"decision": "allow", "rule": "signed"}),
        ((), 1, {"decision": "refuse", "rule": "default"}),
        (("--actor", "bob"), 4, {"decision": "wait", "rule": "nights", "why": "bob sleeps", "until": None}),
        (
            ("--key", "control-plane", "--now", "2026-11-25T10:00+01:00"),
            4,
            {"decision": "wait", "rule": "signed", "until": "2026-12-01T00:00:00.000+00:00"},
        ),
    ],
)
def test_a_trial_says_what_decides_by_its_exit_code_too(
    shell: Shell, options: tuple[str, ...], code: int, told: Mapping[str, object]
) -> None:
    result = shell.run("policy", "test", shell.policy, shell.event, *options, "-o", "json")
    assert result.exit_code == code
    document = json.loads(result.stdout)
    assert document.items() >= told.items()
    assert [look["rule"] for look in document["rules"]] == ["nights", "deletes", "signed"]


def test_a_trial_for_people_says_why_each_rule_does_not_decide(shell: Shell) -> None:
    result = shell.run("policy", "test", shell.policy, shell.event)
    assert result.stdout.startswith(
        "decision: refuse rule: default why: no rule is about conveyor.project.create.v1 of ann"
    )
    assert "actors: found ann; expected bob" in result.stdout
    assert "keys: found none; expected control-plane" in result.stdout


def test_a_trial_may_suppose_an_approval(shell: Shell) -> None:
    shell.event.write_text(delete(1, actor="ann"))
    assert shell.run("policy", "test", shell.policy, shell.event).exit_code == 4
    assert shell.run("policy", "test", shell.policy, shell.event, "--approved-by", "eve").exit_code == 0
    assert shell.run("policy", "test", shell.policy, shell.event, "--approved-by", "ann").exit_code == 4


@pytest.mark.parametrize(
    ("policy", "event", "options", "told"),
    [
        ("version: 1", None, (), "default: is missing"),
        (None, "{", (), "no JSON"),
        (None, create(1, expirytime="x"), (), "expirytime: found 'x'"),
        (None, None, ("--now", "soon"), "'soon' is no time"),
    ],
)
def test_what_cannot_be_read_is_exit_code_2(
    shell: Shell, policy: str | None, event: str | None, options: tuple[str, ...], told: str
) -> None:
    if policy is not None:
        shell.policy.write_text(policy)
    if event is not None:
        shell.event.write_text(event)
    result = shell.run("policy", "test", shell.policy, shell.event, *options)
    assert (result.exit_code, told in result.stderr) == (2, True)


def test_the_policy_in_force_is_shown_as_the_agent_reads_it(shell: Shell) -> None:
    shown = shell.json("policy", "show", AGENTD_POLICY__FILE=str(shell.policy))
    assert (shown["default"], shown["time_zone"]) == ("refuse", "UTC")
    assert shown["rules"][2] == {
        "rule": "signed",
        "effect": "allow",
        "matches": "keys: control-plane",
        "conditions": "open tue 00:00 to 00:00; at most 5 in 60 s; otherwise wait",
    }
    assert "policy.file is not set" in shell.run("policy", "show").stderr


def test_an_event_that_waits_is_approved_by_its_id(shell: Shell) -> None:
    event = decode(delete(1, actor="ann"))
    unknown = shell.run("policy", "approve", uuid(1), "--by", "bob")
    assert (unknown.exit_code, "has not been received" in unknown.stderr) == (1, True)
    shell.with_ledger(lambda ledger: ledger.admit(admission_of(event, now=system_runtime().now())))
    by_actor = shell.run("policy", "approve", uuid(1), "--by", "ann")
    assert (by_actor.exit_code, "somebody else has to approve it" in by_actor.stderr) == (1, True)
    approved = shell.run("policy", "approve", uuid(1), "--by", "bob", "--note", "agreed", "--hours", "1")
    assert approved.exit_code == 0
    assert f"{uuid(1)} (conveyor.project.delete.v1 project/{uuid(1)}) is approved by bob until" in approved.stdout
    approval = shell.with_ledger(lambda ledger: approval_of(ledger, uuid(1)))
    assert approval is not None
    assert (approval.digest, approval.by, approval.note) == (event.digest, "bob", "agreed")
    assert approval.expires_at == approval.at + 3600


# -- budget and intake -------------------------------------------------------------------------------------------------


def test_a_stopped_budget_is_shown_and_released(shell: Shell) -> None:
    limit = {"AGENTD_BUDGET__DESTRUCTIVE_STEPS": "1"}

    async def spend_two(ledger: Ledger) -> None:
        budget = Budget(BudgetConfig(destructive_steps=1), ledger, system_runtime())
        await budget.spend("e", "o1")
        with pytest.raises(NotReady):
            await budget.spend("e", "o2")

    shell.with_ledger(spend_two)
    assert "there is no limit" in shell.run("budget", "show").stdout
    assert shell.json("budget", "show", **limit)["left"] == 0
    assert "stopped at" in shell.run("budget", "show", **limit).stdout
    assert shell.run("budget", "release", "--by", "bob", "--steps", "3").stdout == "destructive steps go on\n"
    shown = shell.json("budget", "show", **limit)
    assert (shown["left"], shown["stopped_at"], shown["released"]["by"]) == (3, None, "bob")
    assert shell.run("budget", "show", **limit).stdout == "destructive steps left: 3; the limit is 1 within 3600 s\n"
    assert "were not stopped" in shell.run("budget", "release", "--by", "bob").stdout


def test_intake_is_paused_shown_and_resumed(shell: Shell) -> None:
    shell.with_ledger(lambda ledger: ledger.stats())
    assert shell.run("intake", "show").stdout == "events are taken in\n"
    assert shell.run("intake", "pause", "--by", "bob", "--why", "moving house").exit_code == 0
    shown = shell.json("intake", "show")
    assert (shown["paused"], shown["pause"]["by"], shown["pause"]["why"]) == (True, "bob", "moving house")
    assert shell.run("intake", "show").stdout.startswith("paused by bob at ")
    assert "intake goes on; it was paused at" in shell.run("intake", "resume").stdout
    assert shell.run("intake", "resume").stdout == "intake was not paused\n"
    assert shell.run("intake", "pause", "--by", "bob").exit_code == 2


# -- keys --------------------------------------------------------------------------------------------------------------


def test_a_new_key_signs_what_its_key_set_verifies(shell: Shell) -> None:
    private, public = shell.folder / "private.json", shell.folder / "keys.json"
    made = shell.run("keys", "new", private, "--kid", "k1", "--days", "30", "--event", "conveyor.project.*")
    assert made.exit_code == 0
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    public.write_text(made.stdout)
    (row,) = shell.json("keys", "show", public)
    assert (row["key"], row["not before"], row["events"], row["sources"]) == ("k1", "-", "conveyor.project.*", "all")

    keys = KeySet.parse(public.read_bytes())
    verify = Verifier(SignaturesConfig(keys_file=public, max_age_s=1e9), lambda: keys, system_runtime().now)
    assert verify(decode(sign(create(1), signing_key(private.read_bytes())))) == "k1"
    again = shell.run("keys", "new", private)
    assert (again.exit_code, "File exists" in again.stderr) == (2, True)


def test_a_key_set_that_cannot_be_used_is_exit_code_2(shell: Shell) -> None:
    shell.event.write_text(json.dumps({"keys": [dict(private_jwk(new_signing_key("k1")))]}))
    result = shell.run("keys", "show", shell.event)
    assert (result.exit_code, "holds a private key" in result.stderr) == (2, True)


def test_an_event_is_signed_before_it_is_sent(shell: Shell) -> None:
    key = shell.folder / "private.json"
    assert shell.run("keys", "new", key, "--kid", "k1").exit_code == 0
    sent = shell.json("send", shell.event, "--dry-run", "--sign-key", key)
    assert sent == {"id": uuid(1), "digest": decode(create(1, actor="ann")).digest, "sent": False}
    broken = shell.run("send", shell.event, "--dry-run", "--sign-key", shell.event)
    assert (broken.exit_code, "no JSON Web Key" in broken.stderr) == (2, True)
