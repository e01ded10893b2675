"""Reports and heartbeats with the agent's signature, as their receivers check it."""

import json
from dataclasses import replace

from agentd.core import Outcome, OutcomeKind
from agentd.events import Heartbeat, KeySet, SignatureType, moment, new_signing_key, public_jwk, sign, verify_report
from agentd.events.schema import json_schemas
from agentd.ledger import Record, RecordState
from agentd.reports.render import heartbeat_message, outcome_message
from tests.unit.dispatch.events import AUDIENCE, create, key, project, uuid
from tests.unit.reports.outbox import IDENTITY
from tests.virtual_time import START

KEY = new_signing_key("agent")
KEYS = KeySet.parse(json.dumps({"keys": [public_jwk(KEY)]}).encode())
SIGNING = replace(IDENTITY, sign=lambda text: sign(text, KEY, SignatureType.REPORT))
RECORD = Record(
    key=key(1),
    event_id=uuid(1),
    digest="sha256:0",
    type="conveyor.project.create.v1",
    subject=str(project(1)),
    generation=1,
    event=create(1),
    state=RecordState.FINISHED,
    epoch=1,
    attempts=1,
    changed=True,
    admitted_at=START,
    finished_at=START + 0.25,
    outcome=Outcome(OutcomeKind.SUCCEEDED),
    sequence=2,
)
HEARTBEAT = Heartbeat(
    replica="a",
    agent_version="1",
    tenant_id=AUDIENCE.tenant_id,
    cluster_id=AUDIENCE.cluster_id,
    owner_id="owner",
    number=1,
    started_at=moment(START),
    interval_s=30,
    oldest_work_age_s=0.1,
    warnings=("intake was paused",),
)


def test_a_report_is_signed_and_else_the_same() -> None:
    signed, plain = outcome_message(SIGNING, RECORD), outcome_message(IDENTITY, RECORD)
    assert verify_report(signed.body, KEYS) == "agent"
    document = json.loads(signed.body)
    del document["signature"]
    assert (document, signed.id, signed.group) == (json.loads(plain.body), plain.id, plain.group)
    assert "signature" in json_schemas()[document["type"]]["properties"]


def test_the_same_report_has_the_same_signature_whenever_it_is_made() -> None:
    assert outcome_message(SIGNING, RECORD) == outcome_message(SIGNING, RECORD)


def test_heartbeats_are_signed_too() -> None:
    message = heartbeat_message(SIGNING, HEARTBEAT, new_id=uuid(9), now=START)
    assert verify_report(message.body, KEYS) == "agent"
    assert json.loads(message.body)["data"]["warnings"] == ["intake was paused"]
