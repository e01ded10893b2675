"""Does the cost of an environment stay the same as they grow?

Creates environments and deploys projects to each on the embedded stack, through the queue, and tells what each batch took:
seconds, and calls to the API server, per environment.
"""

import time
from collections.abc import Sequence
from uuid import NAMESPACE_URL, uuid5

from aiobotocore.session import AioSession

from agentd.cli.control_plane import ControlPlane, control_plane, event
from agentd.cli.stack import DaemonProcess, Stack, start_stack
from agentd.core import system_runtime
from agentd.events import EnvironmentCreate, EnvironmentDeploy, EnvironmentSpec, ProjectCreate, ProjectDeployment
from bench.results import Options, Table
from bench.server import Server

_BATCH = 30
_ENVIRONMENTS = 300
_PROJECTS = 5
_MANIFEST = (
    '{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":'
    '{{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"sha256:{digest}"}},"layers":[]}}'
)
_SETTINGS = {"AGENTD_BUS__SLOTS": "64", "AGENTD_DISPATCH__LANE_WAIT_S": "60"}


def _id(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"https://control-plane.example/bench/{name}"))


async def _succeeded(plane: ControlPlane, event_ids: Sequence[str]) -> None:
    for event_id in event_ids:
        report = await plane.report(event_id, timeout_s=300)
        if report["data"]["outcome"] != "succeeded":
            raise SystemExit(f"{event_id}: {report['data']}")


async def _make_projects(stack: Stack, plane: ControlPlane, number: int) -> None:
    names = [f"project-{index}" for index in range(number)]
    for name in names:
        data = ProjectCreate(project_id=_id(name), project_name=name)
        await plane.send(event(data, 1, event_id=_id(f"create {name}")))
    await _succeeded(plane, [_id(f"create {name}") for name in names])
    async with AioSession().create_client(
        "ecr", region_name=stack.aws.region, endpoint_url=stack.aws.endpoint_url
    ) as ecr:
        for name in names:
            manifest = _MANIFEST.format(digest=uuid5(NAMESPACE_URL, name).hex * 2)
            await ecr.put_image(
                repositoryName=f"conveyor/data-plane/project/{name}",
                imageManifest=manifest,
                imageTag=_id(f"build {name}"),
            )


def _deployments(number: int) -> tuple[ProjectDeployment, ...]:
    return tuple(
        ProjectDeployment(project_id=_id(name), project_name=name, build_id=_id(f"build {name}"))
        for name in (f"project-{index}" for index in range(number))
    )


async def _batch(stack: Stack, plane: ControlPlane, numbers: range, projects: int) -> tuple[float, float, float]:
    """Seconds, reads and writes of the API server, each per environment."""
    await stack.reset_calls()
    started = time.monotonic()
    names = [f"env{number}" for number in numbers]
    for name in names:
        data = EnvironmentCreate(environment_id=_id(name), environment_name=name)
        await plane.send(event(data, 1, event_id=_id(f"create {name}")))
    await _succeeded(plane, [_id(f"create {name}") for name in names])
    for name in names:
        deploy = EnvironmentDeploy(
            environment_id=_id(name), environment_name=name, spec=EnvironmentSpec(), projects=_deployments(projects)
        )
        await plane.send(event(deploy, 2, event_id=_id(f"deploy {name}")))
    await _succeeded(plane, [_id(f"deploy {name}") for name in names])
    seconds = time.monotonic() - started
    if stack.kubernetes is None:
        raise SystemExit("only the embedded cluster counts its calls")
    calls = await stack.kubernetes.calls()
    writes = sum(stack.kubernetes.writes(calls).values())
    return seconds / len(names), (sum(calls.values()) - writes) / len(names), writes / len(names)


async def run(_server: Server, options: Options) -> Sequence[Table]:
    """Batch after batch on one stack."""
    folder, rows = options.folder / "environments", []
    async with start_stack(folder) as stack:
        daemon = DaemonProcess(stack.environment(**_SETTINGS), log=folder / "agentd.log")
        await daemon.start()
        try:
            async with control_plane(stack, system_runtime()) as plane:
                await _make_projects(stack, plane, _PROJECTS)
                for first in range(0, _BATCH if options.quick else _ENVIRONMENTS, _BATCH):
                    numbers = range(first, first + _BATCH)
                    seconds, reads, writes = await _batch(stack, plane, numbers, _PROJECTS)
                    batch = f"{numbers.start + 1} to {numbers.stop}"
                    rows.append((batch, f"{seconds:.2f}", f"{reads:.1f}", f"{writes:.1f}"))
                    options.say(f"environments {batch}: {seconds:.2f} s each")
        finally:
            await daemon.stop()
    return [Table("Environments", ("environments", "seconds each", "reads each", "writes each"), rows)]
