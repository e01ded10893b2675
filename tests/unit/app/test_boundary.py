"""The customer's side, put together from the settings."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from agentd.app.customer import open_boundary
from agentd.app.parts import Replica as AppReplica
from agentd.app.stopping import Stop
from agentd.bus import Intake
from agentd.core import NoAudit, PermanentError, Reason
from agentd.dispatch.policy import Allow, Refuse, let_in
from agentd.events import (
    KeySet,
    Malformed,
    ProjectReconcile,
    SigningKey,
    accept_unsigned,
    decode,
    new_signing_key,
    private_jwk,
    public_jwk,
    sign,
    verify_report,
)
from agentd.settings import SettingsError, load
from tests.unit.dispatch.events import AUDIENCE, create, event, package, uuid
from tests.unit.dispatch.world import Replica, World

KEY = new_signing_key("k1")
POLICY = "version: 1\ndefault: refuse\nrules: [{name: projects, effect: allow, events: [conveyor.project.*]}]\n"


def _key_set(key: SigningKey) -> str:
    return json.dumps({"keys": [public_jwk(key)]})


def _around(replica: Replica, **variables: Any) -> AppReplica:
    """What the daemon has of itself when it opens the boundary."""
    environment = {
        "AGENTD_TENANT_ID": AUDIENCE.tenant_id,
        "AGENTD_CLUSTER_ID": AUDIENCE.cluster_id,
        "AGENTD_COMMANDS__QUEUE_URL": "https://sqs.example/1/commands",
        "AGENTD_REPORTS_QUEUE_URL": "https://sqs.example/1/reports",
        **{name: str(value) for name, value in variables.items()},
    }
    return AppReplica(
        name="a",
        settings=load(None, environment).settings,
        runtime=replica.runtime,
        stop=Stop(),
        metrics=replica.metrics,
        health=replica.health,
        intake=Intake(replica.metrics),
        started_at=replica.runtime.now(),
    )


async def test_without_settings_everything_is_believed_and_let_in(world: World) -> None:
    replica = await world.replica()
    around = _around(replica)
    boundary = await open_boundary(AsyncExitStack(), around, replica.ledger, NoAudit())
    assert (boundary.verify, boundary.judge) == (accept_unsigned, let_in)
    assert boundary.sign("{}") == "{}"
    await boundary.spend("e", "o")
    assert boundary.warnings() == ()


async def test_everything_that_is_set_is_in_force_and_looked_at_again(world: World, tmp_path: Path) -> None:
    keys, rules, own = tmp_path / "keys.json", tmp_path / "policy.yaml", tmp_path / "own.json"
    keys.write_text(_key_set(KEY))
    rules.write_text(POLICY)
    own.write_text(json.dumps(private_jwk(KEY)))
    replica = await world.replica()
    around = _around(
        replica,
        AGENTD_SIGNATURES__KEYS_FILE=keys,
        AGENTD_POLICY__FILE=rules,
        AGENTD_REPORTS__SIGNING_KEY_FILE=own,
    )
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        boundary = await open_boundary(stack, around, replica.ledger, NoAudit())
        running = group.create_task(boundary.run(replica.runtime))
        signed = decode(sign(create(1), KEY))
        assert boundary.verify(signed) == "k1"
        assert await boundary.judge(signed, "k1") == Allow("projects")
        assert isinstance(await boundary.judge(decode(package(1)), None), Refuse)
        assert verify_report(boundary.sign('{"id":"1"}'), KeySet.parse(keys.read_bytes())) == "k1"

        keys.write_text(_key_set(new_signing_key("k2")))
        rules.write_text("nonsense")
        await replica.runtime.sleep(60)
        with pytest.raises(Malformed):
            boundary.verify(signed)
        assert await boundary.judge(signed, "k1") == Allow("projects")
        (warning,) = boundary.warnings()
        assert warning.startswith(f"policy.file {rules} cannot be used")
        running.cancel()


async def test_the_agents_own_key_vouches_for_what_it_asks_of_itself_and_for_nothing_else(
    world: World, tmp_path: Path
) -> None:
    keys, own = tmp_path / "keys.json", tmp_path / "own.json"
    keys.write_text(_key_set(new_signing_key("theirs")))
    own.write_text(json.dumps(private_jwk(KEY)))
    replica = await world.replica()
    around = _around(replica, AGENTD_SIGNATURES__KEYS_FILE=keys, AGENTD_REPORTS__SIGNING_KEY_FILE=own)
    boundary = await open_boundary(AsyncExitStack(), around, replica.ledger, NoAudit())
    data = {"project_id": uuid(1), "project_name": "project-1"}
    asked = event(ProjectReconcile, 7, data, source=around.settings.source)
    assert boundary.verify(decode(boundary.seal(asked))) == "k1"
    for other in (
        asked,
        boundary.seal(event(ProjectReconcile, 7, data)),
        boundary.seal(create(1, source=around.settings.source)),
        boundary.sign(asked),
    ):
        with pytest.raises(Malformed):
            boundary.verify(decode(other))


async def test_who_repairs_by_itself_where_signatures_are_required_needs_a_key(world: World) -> None:
    replica = await world.replica()
    asked = {"AGENTD_DRIFT__REPAIR": '["project"]', "AGENTD_SIGNATURES__KEYS_FILE": "/k"}
    with pytest.raises(SettingsError, match=r"drift\.repair needs reports\.signing_key_file"):
        _around(replica, **asked)
    assert _around(replica, **asked, AGENTD_REPORTS__SIGNING_KEY_FILE="/own").settings.drift.repair == ("project",)
    with pytest.raises(SettingsError, match=r"drift\.repair"):
        _around(replica, AGENTD_DRIFT__REPAIR='["project/mend"]')


@pytest.mark.parametrize(
    ("variable", "setting"),
    [
        ("AGENTD_SIGNATURES__KEYS_FILE", "signatures.keys_file"),
        ("AGENTD_POLICY__FILE", "policy.file"),
        ("AGENTD_REPORTS__SIGNING_KEY_FILE", "reports.signing_key_file"),
    ],
)
async def test_a_file_that_cannot_be_used_is_a_refusal_to_start(
    world: World, tmp_path: Path, variable: str, setting: str
) -> None:
    path = tmp_path / "broken"
    path.write_text("{")
    replica = await world.replica()
    around = _around(replica, **{variable: path})
    with pytest.raises(PermanentError) as caught:
        await open_boundary(AsyncExitStack(), around, replica.ledger, NoAudit())
    assert caught.value.reason is Reason.INVALID_REQUEST
    assert caught.value.message.startswith(f"{setting} {path}: ")


async def test_an_age_that_outlives_the_ledgers_memory_is_refused(world: World) -> None:
    replica = await world.replica()
    with pytest.raises(SettingsError, match=r"must not exceed ledger\.retention_s"):
        _around(replica, AGENTD_SIGNATURES__KEYS_FILE="/k", AGENTD_SIGNATURES__MAX_AGE_S=28 * 86400)
    assert _around(replica, AGENTD_SIGNATURES__KEYS_FILE="/k").settings.signatures.required
