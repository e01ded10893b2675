"""The log of a whole replica, as its settings choose it."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from agentd.app.audit import open_log
from agentd.app.parts import Replica
from agentd.app.stopping import Stop
from agentd.audit.report import Verdict
from agentd.audit.verification import verify
from agentd.bus import Intake
from agentd.core import PermanentError, system_runtime
from agentd.settings import load
from agentd.telemetry import Health, Metrics
from tests.unit.audit.rig import entries, files
from tests.unit.cli.doctor.rig import ENVIRONMENT


def _replica(folder: Path, **variables: str) -> Replica:
    """With good settings, but for these variables of the audit log."""
    given = {f"AGENTD_AUDIT__{name}": value for name, value in variables.items()}
    settings = load(None, {**ENVIRONMENT, "AGENTD_LEDGER__PATH": str(folder / "ledger.db"), **given}).settings
    runtime, metrics = system_runtime(), Metrics()
    return Replica(
        name="host-1a2b3c4d",
        settings=settings,
        runtime=runtime,
        stop=Stop(),
        metrics=metrics,
        health=Health(runtime),
        intake=Intake(metrics),
        started_at=runtime.now(),
    )


async def test_it_is_on_and_beside_the_ledger_unless_told_otherwise(tmp_path: Path) -> None:
    replica = _replica(tmp_path)
    async with AsyncExitStack() as stack:
        audit = await open_log(stack, replica)
        assert audit is not None
        await audit.log.flush()
        replica.stop.ask()
    assert verify([tmp_path / "audit"]).verdict is Verdict.INTACT
    _, started, stopped, _ = entries(tmp_path / "audit" / "host-1a2b3c4d")
    assert (started["kind"], stopped["kind"]) == ("agent.started", "agent.stopped")
    assert started["facts"]["cluster_id"] == str(replica.settings.cluster_id)
    assert stopped["facts"] == {"asked": True, "aborted": False}


async def test_it_can_be_turned_off(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        assert await open_log(stack, _replica(tmp_path, ENABLED="false")) is None
    assert files(tmp_path) == []


async def test_copies_go_where_they_are_told_to(tmp_path: Path) -> None:
    replica = _replica(tmp_path, COPY_DIRECTORY=str(tmp_path / "copies"), DIRECTORY=str(tmp_path / "log"))
    async with AsyncExitStack() as stack:
        await open_log(stack, replica)
    (copy,) = files(tmp_path / "copies")
    place = f"{replica.settings.tenant_id}/{replica.settings.cluster_id}/host-1a2b3c4d/000001.jsonl"
    assert str(copy.relative_to(tmp_path / "copies")) == place
    assert verify([tmp_path / "copies", tmp_path / "log"]).verdict is Verdict.INTACT


async def test_a_folder_that_cannot_be_had_keeps_the_agent_from_starting(tmp_path: Path) -> None:
    (tmp_path / "audit").touch()
    async with AsyncExitStack() as stack:
        with pytest.raises(PermanentError, match="the audit log cannot be kept in"):
            await open_log(stack, _replica(tmp_path))
