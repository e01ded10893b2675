"""`agentd dev`: everything on this machine, for as long as you like."""

import asyncio
import shlex
from collections.abc import Mapping
from pathlib import Path

import click

from agentd.app.stopping import Stop
from agentd.cli.common import asynchronous
from agentd.cli.control_plane import event
from agentd.cli.errors import StackError
from agentd.cli.stack import DaemonProcess, Stack, start_stack
from agentd.cli.stack_queues import QueueChoice
from agentd.core import system_runtime
from agentd.events import EnvironmentCreate, ProjectCreate


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".agentd/dev"),
    show_default=True,
    help="Where ledger, logs and an example event go. The ledger is kept from run to run only with the cloud it is about.",
)
@click.option(
    "--queue",
    type=click.Choice([choice.value for choice in QueueChoice]),
    default=QueueChoice.SQS.value,
    show_default=True,
    help="What the queues are: emulated SQS, Azurite's (from npm), or a file.",
)
@asynchronous
async def dev(folder: Path, queue: str) -> None:
    """Run the daemon with everything that it needs embedded, and print commands to try. Ends with Ctrl-C."""
    stop = Stop()
    with stop.on_signals():
        await _up(folder, QueueChoice(queue), stop)


async def _up(folder: Path, choice: QueueChoice, stop: Stop) -> None:
    # The emulated cloud forgets everything when it stops, so a ledger or a queue from before would know of what is gone.
    await asyncio.to_thread(_forget, folder)
    async with start_stack(folder, queues=choice) as stack:
        daemon = DaemonProcess(stack.environment())
        await daemon.start()
        try:
            await asyncio.to_thread(_write_files, stack, daemon)
            click.echo(_commands(stack, daemon), err=True)
            await _until_stopped(daemon, stop)
        finally:
            await daemon.stop()


async def _until_stopped(daemon: DaemonProcess, stop: Stop) -> None:
    async with asyncio.TaskGroup() as group:
        ended = group.create_task(daemon.wait(), name="daemon")
        asked = group.create_task(stop.drain.wait(), name="stop")
        await asyncio.wait((ended, asked), return_when=asyncio.FIRST_COMPLETED)
        fell_over = ended.done() and not asked.done()
        ended.cancel()
        asked.cancel()
    if fell_over:
        raise StackError("the daemon has ended by itself; its output is above")


def _forget(folder: Path) -> None:
    for old in (*folder.glob("ledger.db*"), *folder.glob("queues.db*")):
        old.unlink()


def _write_files(stack: Stack, daemon: DaemonProcess) -> None:
    project = ProjectCreate(project_id=system_runtime().new_id(), project_name="example")
    environment = EnvironmentCreate(environment_id=system_runtime().new_id(), environment_name="example")
    (stack.folder / "project.json").write_text(event(project, 1) + "\n")
    (stack.folder / "environment.json").write_text(event(environment, 1) + "\n")
    variables: Mapping[str, str] = {
        **stack.environment(),
        "AGENTD_TELEMETRY__HTTP_PORT": daemon.http_url.rsplit(":", 1)[1],
        "AGENTD_PROXY__LISTEN_PORT": str(daemon.proxy_port),
        "KUBECONFIG": str(stack.kubeconfig.resolve()),
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())]
    (stack.folder / "env").write_text("\n".join(lines) + "\n")


def _commands(stack: Stack, daemon: DaemonProcess) -> str:
    folder = shlex.quote(str(stack.folder))
    proxy = f"127.0.0.1:{daemon.proxy_port}"
    return f"""
The cloud is at {stack.cloud.endpoint_url}, the cluster at {stack.cluster_url},
the daemon at {daemon.http_url} and its proxy at {proxy}. Events go to
{stack.queues.where}. In another terminal:

  . {folder}/env                              # points every command below at this stack
  agentd doctor                               # can this installation do its job?
  agentd send {folder}/project.json           # create a project
  agentd send {folder}/environment.json       # create an environment
  agentd explain "$(python3 -c 'import json; print(json.load(open("{stack.folder}/environment.json"))["id"])')"
  agentd status
  agentd dlq list
  curl {daemon.http_url}/metrics
  kubectl get namespaces --show-labels
  kubectl --namespace example get resourcequotas,limitranges,networkpolicies,serviceaccounts,roles,rolebindings
  grpcurl -plaintext {proxy} list
  grpcurl -plaintext {proxy} conveyor.proxy.v1.Environments/List
  grpcurl -plaintext -d '{{"name": "environment/..."}}' {proxy} conveyor.proxy.v1.Agent/Explain

(.venv/bin/agentd, if it is not on the path.) Ctrl-C ends it all.
"""
