"""An outcome's report, which is written without its models, is to the letter what they would make of it."""

import json
from dataclasses import replace

import pytest

from agentd.core import Outcome, OutcomeKind, Reason
from agentd.events.reports import OutcomeReport, ReportEnvelope
from agentd.ledger import Record, RecordState
from agentd.reports.render import outcome_message
from tests.unit.dispatch.events import create, key, project, uuid
from tests.unit.reports.outbox import IDENTITY
from tests.virtual_time import START

SUCCEEDED = Record(
    key=key(1),
    event_id=uuid(1),
    digest="sha256:0",
    type="conveyor.project.create.v1",
    subject=str(project(1)),
    generation=1,
    event=create(1, tracestate="vendor=1"),
    state=RecordState.FINISHED,
    epoch=2,
    attempts=1,
    changed=True,
    admitted_at=START,
    started_at=START + 0.125,
    finished_at=START + 0.25,
    outcome=Outcome(OutcomeKind.SUCCEEDED),
    sequence=2,
    objects=("ecr:repository/one", 'a "quoted" näme\n'),
)
FAILED = replace(
    SUCCEEDED,
    outcome=Outcome(
        OutcomeKind.FAILED, reason=Reason.ACCESS_DENIED, message="„nein“ \x7f\u2028", step="create repository"
    ),
)
UNREAD = Record(
    key="message/1",
    event_id=None,
    digest=None,
    type=None,
    subject="",
    generation=None,
    event="no JSON",
    state=RecordState.FINISHED,
    epoch=1,
    attempts=0,
    changed=False,
    admitted_at=START,
    finished_at=START,
    outcome=Outcome(OutcomeKind.REJECTED, reason=Reason.MALFORMED),
    sequence=1,
)


@pytest.mark.parametrize("record", [SUCCEEDED, FAILED, UNREAD, replace(SUCCEEDED, event=None)])
def test_an_outcome_is_written_as_its_models_write_it(record: Record) -> None:
    body = outcome_message(IDENTITY, record).body
    envelope = json.loads(body)
    data = OutcomeReport.model_validate_json(json.dumps(envelope.pop("data"))).model_dump_json()
    attributes = ReportEnvelope.model_validate_json(json.dumps(envelope)).model_dump_json(exclude_none=True)
    assert body == f'{attributes.removesuffix("}")},"data":{data}}}'


@pytest.mark.parametrize("name", ["traceparent", "\\u0074raceparent"])
def test_a_trace_goes_on_however_its_name_is_spelt(name: str) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    record = replace(SUCCEEDED, event=f'{{"{name}":"{trace}"}}')
    assert json.loads(outcome_message(IDENTITY, record).body)["traceparent"] == trace
