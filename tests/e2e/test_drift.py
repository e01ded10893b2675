"""Somebody edits an object by hand: it is found, they are named, and it is brought back only where the customer lets it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio import client
from kubernetes_asyncio.config import new_client_from_config

from agentd.cli.control_plane import ControlPlane, control_plane, event
from agentd.cli.stack import DaemonProcess, Stack, start_stack
from agentd.core import system_runtime
from agentd.events import EnvironmentCreate, PackageCreate, ProjectCreate
from tests.e2e.harness import agentd, eventually, running, settled, uuid_of

ENVIRONMENT, NAMESPACE = uuid_of("environment drifting"), "drifting"
SUBJECT = f"environment/{ENVIRONMENT}"
KINDS = ("project", "package", "environment")
SETTINGS = {
    "AGENTD_DRIFT__INTERVAL_S": "2",
    "AGENTD_DRIFT__SHARDS": "2",
    "AGENTD_SHARDS__LEASE_S": "2",
    "AGENTD_SHARDS__CLOCK_SKEW_S": "0",
    "AGENTD_DRIFT__REPAIR_PAUSE_S": "1",
}


@asynccontextmanager
async def hands(stack: Stack) -> AsyncIterator[client.CoreV1Api]:
    """Somebody who has every right in the cluster."""
    async with await new_client_from_config(str(stack.kubeconfig)) as api:
        yield client.CoreV1Api(api)


async def populate(plane: ControlPlane) -> None:
    """One subject of each kind."""
    for number, data in enumerate(
        (
            ProjectCreate(project_id=uuid_of("project drifting"), project_name="drifting"),
            PackageCreate(package_id=uuid_of("package drifting"), package_name="drifting"),
            EnvironmentCreate(environment_id=ENVIRONMENT, environment_name=NAMESPACE),
        )
    ):
        event_id = uuid_of(f"drift {number}")
        await plane.send(event(data, 1, event_id=event_id))
        assert (await plane.report(event_id))["data"]["outcome"] == "succeeded"


async def edit(stack: Stack) -> None:
    """Somebody raises a quota, and takes an object away."""
    async with hands(stack) as core:
        (quota,) = (await core.list_namespaced_resource_quota(NAMESPACE)).items
        await core.patch_namespaced_resource_quota(
            quota.metadata.name,
            NAMESPACE,
            [{"op": "replace", "path": "/spec/hard", "value": {"pods": "9999"}}],
            field_manager="kubectl-edit",
        )
        (limits,) = (await core.list_namespaced_limit_range(NAMESPACE)).items
        await core.delete_namespaced_limit_range(limits.metadata.name, NAMESPACE)


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_what_somebody_edits_is_found_told_and_brought_back_only_where_that_is_allowed(tmp_path: Path) -> None:
    async with start_stack(tmp_path) as stack, control_plane(stack, system_runtime()) as plane:
        async with running(stack, **SETTINGS) as daemon:
            await populate(plane)
            await settled(stack)
            await stack.reset_calls()
            await eventually(lambda: all_in_sync(daemon))
            assert await stack.writes() == {}, "whoever looks writes nothing"
            await nothing_drifts(stack)
            await edit(stack)
            await stack.reset_calls()
            told = await plane.drift(1)
            tells_of_the_edit(told)
            assert await drifted(daemon)
            assert await stack.writes() == {}, "it is told and left"
        await commands_tell_of_the_edit(stack, told["data"]["planhash"])

        await stack.reset_calls()
        async with running(stack, **SETTINGS, AGENTD_DRIFT__REPAIR='["project", "environment/change"]') as daemon:
            await eventually(lambda: drifted(daemon))
            assert await stack.writes() == {}, "creating is not allowed, and nothing is done by half"
            assert len(plane.drifts) == 1, "a restart tells nothing anew"
        async with running(stack, **SETTINGS, AGENTD_DRIFT__REPAIR='["environment"]'):
            await is_brought_back(plane)
        await nothing_drifts(stack)


async def all_in_sync(daemon: DaemonProcess) -> bool:
    """Whether a subject of each kind has been compared."""
    _, text = await daemon.get("/metrics")
    counted = (f'agentd_drift_comparisons_total{{kind="{kind}",result="in_sync"}}' for kind in KINDS)
    return all(line in text for line in counted)


async def drifted(daemon: DaemonProcess) -> bool:
    """Whether the daemon knows of it."""
    _, text = await daemon.get("/status")
    return bool(json.loads(text)["drift"]["drifted"])


async def nothing_drifts(stack: Stack) -> None:
    """The command agrees."""
    ran = await agentd("drift", environment=stack.environment())
    assert (ran.code, ran.out) == (0, "0 of 3 differ from what is desired\n")


def tells_of_the_edit(report: Any) -> None:
    """What was found, what was wanted, and who it was."""
    data = report["data"]
    assert (report["subject"], data["subject"]) == (SUBJECT, SUBJECT)
    assert (data["state"], data["repair"], data["changes_total"]) == ("drifted", "not_allowed", 2)
    by_action = {change["action"]: change for change in data["changes"]}
    assert by_action["create"]["object"].startswith(f"kubernetes:{NAMESPACE}/limitrange/")
    assert by_action["change"]["object"].startswith(f"kubernetes:{NAMESPACE}/resourcequota/")
    assert [author["manager"] for author in by_action["change"]["made_by"]] == ["kubectl-edit"]
    fields = {found["path"]: found["found"] for found in by_action["change"]["fields"]}
    assert fields["spec.hard.pods"] == "9999"


async def commands_tell_of_the_edit(stack: Stack, planhash: str) -> None:
    """Without a daemon."""
    shown = await agentd("drift", SUBJECT, environment=stack.environment())
    assert shown.code == 2
    assert "made by kubectl-edit at 20" in shown.out
    assert shown.out.endswith("1 of 1 differ from what is desired\n")
    printed = await agentd("drift", "-o", "json", environment=stack.environment())
    assert printed.code == 2
    (found,) = json.loads(printed.out)["subjects"]
    assert (found["subject"], found["planhash"]) == (SUBJECT, planhash)


async def is_brought_back(plane: ControlPlane) -> None:
    """By an event like any other."""
    told = (await plane.drift(2))["data"]
    assert (told["state"], told["repair"], told["repairs"]) == ("drifted", "asked", 1)
    repair = await plane.report(told["repair_event_id"])
    assert repair["type"] == "conveyor.report.environment.reconcile.v1"
    assert (repair["data"]["outcome"], repair["data"]["changed"]) == ("succeeded", True)
    well = (await plane.drift(3))["data"]
    assert (well["state"], well["changes"], well["since"]) == ("in_sync", [], None)
    assert told["sequence"] < well["sequence"]
    assert repair["data"]["sequence"] < well["sequence"]
