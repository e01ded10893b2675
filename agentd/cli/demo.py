"""`agentd demo`: the main job, on embedded defaults, shown."""

import asyncio
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from agentd import dispatch
from agentd.cli.answers import ask
from agentd.cli.common import asynchronous
from agentd.cli.control_plane import ControlPlane, control_plane
from agentd.cli.errors import StackError
from agentd.cli.explain import show_event
from agentd.cli.output import cell, print_table
from agentd.cli.stack import DaemonProcess, Stack, start_stack
from agentd.cli.stack_queues import QueueChoice
from agentd.cli.story import Act, Expected, Stage, Telling, open_ledger, story
from agentd.core import Runtime, system_runtime

Json = dict[str, Any]  # a CloudEvent as it travels

_METRICS_SHOWN = (
    "agentd_events_received_total",
    "agentd_event_outcomes_total",
    "agentd_handler_retries_total",
    "agentd_acks_total",
    "agentd_reports_sent_total",
)
# Name, generation and power of what there must be in the end.
_NAMESPACES = [("dev", "6", "awake"), ("taken", "-", "-")]
_COLUMNS = ("event", "outcome", "changed", "epoch", "attempts", "seconds", "reason", "")


@dataclass(frozen=True, slots=True)
class Told:
    """One line of the story, with its report once it is there."""

    telling: Telling
    report: Json | None = None
    seconds: float | None = None

    @property
    def found(self) -> Expected | None:
        """How the event ended."""
        if self.report is None:
            return None
        data = self.report["data"]
        return Expected(data["outcome"], data["changed"], data["reason"], data["epoch"])

    @property
    def right(self) -> bool:
        """Whether it ended as the story wants it."""
        return self.found == self.telling.expected

    def row(self, doing: str = "") -> Sequence[object]:
        """For the table; `doing` stands there until the report has come."""
        if self.report is None or self.found is None:
            return (self.telling.title, "...", "", "", "", "", "", doing)
        data, found = self.report["data"], self.found
        verdict = "as told" if self.right else f"WRONG, expected {self.telling.expected}"
        return (
            self.telling.title,
            found.outcome,
            found.changed,
            found.epoch,
            data["attempts"],
            self.seconds,
            found.reason,
            verdict,
        )


OnNews = Callable[[Told], None]


class Teller:
    """Plays a story to a daemon, and shows how it goes."""

    def __init__(self, stage: Stage, plane: ControlPlane, acts: Sequence[Act]) -> None:
        self._stage = stage
        self._plane = plane
        self._acts = acts
        self._sent: set[Telling] = set()
        self.told = {telling: Told(telling) for act in acts for telling in act.tellings}

    async def tell(self, on_news: OnNews) -> None:
        """Act by act; `on_news` is called with every line whose report has come. StackError: one did not come."""
        for act in self._acts:
            started = time.monotonic()
            if act.prepare is not None:
                await act.prepare(self._stage)
            async with asyncio.TaskGroup() as group:
                for telling in act.tellings:
                    if telling.before is not None:
                        await telling.before(self._stage)
                    self._sent.add(telling)
                    if act.sends:
                        await self._plane.send(telling.body)
                    group.create_task(self._wait(telling, started, on_news), name=telling.title)
                if act.meanwhile is not None:
                    await act.meanwhile(self._stage)

    def doing(self, told: Told) -> str:
        """What the daemon says that it is doing about an event that has been sent."""
        return self._plane.doing(told.telling.event_id) if told.telling in self._sent else ""

    async def _wait(self, telling: Telling, started: float, on_news: OnNews) -> None:
        try:
            report = await self._plane.report(telling.event_id, epoch=telling.expected.epoch, count=telling.count)
        except TimeoutError:
            raise StackError(
                f"{telling.title}: no report has come; `agentd explain {telling.event_id}` may say why"
            ) from None
        told = Told(telling, report, time.monotonic() - started)
        self.told[telling] = told
        on_news(told)


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".agentd/demo"),
    show_default=True,
    help="Where ledger and logs go; emptied first.",
)
@click.option(
    "--queue",
    type=click.Choice([choice.value for choice in QueueChoice]),
    default=QueueChoice.SQS.value,
    show_default=True,
    help="What the queues are: emulated SQS, Azurite's (from npm), or a file.",
)
@asynchronous
async def demo(folder: Path, queue: str) -> None:
    """Run the main job on this machine and show it.

    An emulated cloud and a Kubernetes API server come up in child processes, the daemon in another; a story of events goes
    through the queue, the reports come back, and every one is held against what it must say. Ends non-zero if anything
    differs.
    """
    shutil.rmtree(folder, ignore_errors=True)
    runtime = system_runtime()
    started = runtime.monotonic()
    async with start_stack(folder, queues=QueueChoice(queue)) as stack:
        wrong = await _play(stack, runtime)
    click.echo(f"\n{runtime.monotonic() - started:.1f} s; logs and ledger are in {folder}")
    if wrong:
        raise click.ClickException("; ".join(wrong))


async def _play(stack: Stack, runtime: Runtime) -> Sequence[str]:
    """Play the story; what went wrong."""
    daemon = DaemonProcess(stack.environment(), log=stack.folder / "agentd.log")
    click.echo(f"cloud at {stack.cloud.endpoint_url}, cluster at {stack.cluster_url}, daemon starting")
    await daemon.start()
    try:
        async with control_plane(stack, runtime) as plane:
            teller = Teller(Stage(stack, runtime), plane, story())
            await _show_live(teller)
            wrong = [f"{told.telling.title}: {told.found}" for told in teller.told.values() if not told.right]
            wrong += await _show_world(stack, runtime, daemon)
            wrong += await _show_proxy(daemon)
            wrong += await _show_repetition(stack, plane, teller)
    finally:
        code = await daemon.stop()
    if code:
        wrong.append(f"the daemon ended with exit code {code} instead of draining")
    return wrong


async def _show_live(teller: Teller) -> None:
    console = Console()
    if not console.is_terminal:
        await teller.tell(lambda told: click.echo("  " + "  ".join(cell(value) for value in told.row())))
        print_table(_COLUMNS, [told.row() for told in teller.told.values()], title="\nthe story")
        return
    with Live(get_renderable=lambda: _table(teller), console=console, refresh_per_second=8):
        await teller.tell(lambda _told: None)


def _table(teller: Teller) -> Table:
    table = Table(*_COLUMNS, title="the story", title_justify="left", show_edge=False)
    for told in teller.told.values():
        style = None if told.report is None or told.right else "bold red"
        table.add_row(*(cell(value) for value in told.row(teller.doing(told))), style=style)
    return table


async def _show_world(stack: Stack, runtime: Runtime, daemon: DaemonProcess) -> Sequence[str]:
    """What exists now, some metrics, one explanation; what is wrong with it."""
    stage = Stage(stack, runtime)
    repositories, namespaces = await stage.repositories(), await stage.namespaces()
    print_table(("repository", "subject", "generation", "images"), repositories, title="\nin the registry")
    print_table(
        ("namespace", "environment", "generation", "power", "phase", "objects"), namespaces, title="\nin the cluster"
    )
    _, text = await daemon.get("/metrics")
    lines = [line for line in text.splitlines() if line.startswith(_METRICS_SHOWN)]
    click.echo("\nsome metrics, as scraped")
    for line in lines:
        click.echo(f"  {line}")
    click.echo("\nagentd explain, for the event that was throttled twice")
    await _explain(stack, runtime, Stage.event_of("create gamma 1"))
    found = {
        str(row[0]).rsplit("/", maxsplit=2)[-2] + "/" + str(row[0]).rsplit("/", maxsplit=1)[-1] for row in repositories
    }
    wanted = {"project/alpha", "project/beta", "project/gamma", "project/delta", "package/tools"}
    wrong = [] if found == wanted else [f"the registry holds {sorted(found)}, expected {sorted(wanted)}"]
    there = [(row[0], row[2], row[3]) for row in namespaces]
    if there != _NAMESPACES:
        wrong.append(f"the cluster holds {there}, expected {_NAMESPACES}")
    return wrong


async def _show_proxy(daemon: DaemonProcess) -> Sequence[str]:
    """What the proxy answers; what is wrong with it."""
    answers = await ask(daemon.proxy_port, Stage.event_of("deploy dev 3"))
    click.echo("\nanswers from the proxy")
    click.echo(f"  agent    {answers.version}")
    click.echo(f"  cluster  {answers.cluster}")
    for verdict in answers.verdicts:
        click.echo(f"  deploy dev 3  {verdict}")
    print_table(
        ("environment", "state", "project", "build", "image"), answers.deployments, title="\nand what is deployed"
    )
    found = {(environment, project) for environment, _, project, _, _ in answers.deployments}
    wanted = {("dev", "alpha"), ("dev", "gamma")}
    return [] if found == wanted else [f"the proxy tells of {sorted(found)}, expected {sorted(wanted)}"]


async def _explain(stack: Stack, runtime: Runtime, event_id: str) -> None:
    async with open_ledger(stack) as ledger:
        for explanation in (await dispatch.explain(ledger, event_id, now=runtime.now())).events:
            show_event(explanation)


async def _show_repetition(stack: Stack, plane: ControlPlane, teller: Teller) -> Sequence[str]:
    """Send every valid event once more: the same reports again, and not one write to registry or cluster."""
    await stack.reset_calls()
    known = {report["id"] for report in plane.outcomes}
    last = {
        told.telling.event_id: told
        for told in teller.told.values()
        if told.report is not None and told.report["data"]["key"].startswith("event/")
    }
    before = {event_id: len(plane.about(event_id, told.telling.expected.epoch)) for event_id, told in last.items()}
    for told in last.values():
        await plane.send(told.telling.body)
    reports = [
        await plane.report(event_id, epoch=told.telling.expected.epoch, count=before[event_id] + 1)
        for event_id, told in last.items()
    ]
    writes = await stack.writes()
    click.echo(f"\nthe story once more: {len(reports)} events, {sum(writes.values())} writes to registry and cluster")
    wrong = [f"a repeated event made a new report: {report['data']}" for report in reports if report["id"] not in known]
    return wrong + ([f"a repeated story wrote to registry or cluster: {dict(writes)}"] if writes else [])
