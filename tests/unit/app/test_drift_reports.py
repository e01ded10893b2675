"""A finding as the control plane is told of it: all of it, as long as that fits into a message."""

import json

from agentd.app.drift import report_of
from agentd.core import Action, Author, DriftState, FieldChange, Picture, PlannedChange, Reason, Subject
from agentd.events.reports import DriftReport
from agentd.reconcile.drift import Finding, Repair
from tests.unit.dispatch.events import AUDIENCE, uuid

SUBJECT = Subject("environment", uuid(1))
MOST_BYTES = 48 * 1024
"""What a message of Azure Storage holds, in base64."""


def told(*changes: PlannedChange, state: DriftState = DriftState.DRIFTED, problem: str = "") -> DriftReport:
    """The report of a picture with these changes."""
    reason = Reason.FOREIGN_OBJECT if problem else None
    picture = Picture(SUBJECT, 3, state, changes, reason=reason, problem=problem)
    finding = Finding(picture, Repair.NOT_ALLOWED, None, 0, 1_700_000_000.0, 1_700_000_060.0)
    return report_of(finding, 7, tenant_id=AUDIENCE.tenant_id, cluster_id=AUDIENCE.cluster_id)


def change(number: int, *fields: FieldChange) -> PlannedChange:
    author = Author("kubectl-edit", "2030-01-01T00:00:00Z", ("spec.replicas",))
    return PlannedChange(f"kubernetes:team/deployment/web-{number}", Action.CHANGE, fields, (author,))


def test_everything_is_told_in_words_of_the_contract() -> None:
    report = told(change(1, FieldChange("spec.replicas", 7, 1)))
    assert (report.subject, report.sequence, report.repair, report.changes_total) == (str(SUBJECT), 7, "not_allowed", 1)
    assert json.loads(report.changes[0].model_dump_json()) == {
        "object": "kubernetes:team/deployment/web-1",
        "action": "change",
        "fields": [{"path": "spec.replicas", "found": 7, "wanted": 1}],
        "made_by": [{"manager": "kubectl-edit", "at": "2030-01-01T00:00:00Z", "fields": ["spec.replicas"]}],
    }
    assert report.planhash.startswith("sha256:")
    blocked = told(state=DriftState.BLOCKED, problem="it belongs to somebody else")
    assert (blocked.state, blocked.reason, blocked.problem) == (
        DriftState.BLOCKED,
        Reason.FOREIGN_OBJECT,
        "it belongs to somebody else",
    )


def test_very_much_is_cut_to_what_a_message_holds_and_counted() -> None:
    long = "x" * 100_000
    wide = change(0, *(FieldChange(f"data.key-{number:04}", long, {"value": long}) for number in range(200)))
    report = told(wide, *(change(number, FieldChange("spec.replicas", 2, 1)) for number in range(1, 1000)))
    assert report.changes_total == 1000
    assert 1 < len(report.changes) < 1000
    assert 0 < len(report.changes[0].fields) < 200
    assert len(report.model_dump_json().encode()) < MOST_BYTES
    assert len(told(problem=long).problem) < 2000
