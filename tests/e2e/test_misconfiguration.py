"""Wrong settings: exit code 2 within seconds, one line for each problem that names the key, and never a traceback."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from agentd.cli.stack import Stack, start_stack
from tests.e2e.harness import Ran, agentd, sqs, uuid_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

WITHIN_S = 10.0
TEXT = "no database at all, and longer than the header of one, " * 4


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """One cloud for all: nothing here gets far enough to change it."""
    async with start_stack(tmp_path_factory.mktemp("cloud")) as running:
        yield running


async def run(stack: Stack, folder: Path, *arguments: str, **changes: str | None) -> Ran:
    """`agentd run` with a good environment but for these changes; None takes a variable away."""
    good = {**stack.environment(), "AGENTD_LEDGER__PATH": str(folder / "ledger.db"), "AGENTD_TELEMETRY__HTTP_PORT": "0"}
    wanted = {name: value for name, value in {**good, **changes}.items() if value is not None}
    return await agentd(*arguments, "run", environment=wanted, within_s=WITHIN_S)


def check(ran: Ran, *problems: tuple[str, ...]) -> None:
    """One line for each problem, with these words in it."""
    assert "Traceback" not in ran.err + ran.out
    lines = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    others = [line for line in ran.err.splitlines() if not line.startswith(("error: ", "{"))]
    assert others == [], "lines that are neither an error nor a log entry"
    assert len(lines) == len(problems), ran.err
    for line, words in zip(lines, problems, strict=True):
        for word in words:
            assert word in line
    assert ran.code == 2


async def test_settings_that_are_missing(stack: Stack, tmp_path: Path) -> None:
    missing = {"AGENTD_TENANT_ID": None, "AGENTD_CLUSTER_ID": None, "AGENTD_COMMANDS__QUEUE_URL": None}
    check(
        await run(stack, tmp_path, **missing),
        ("tenant_id", "missing", "AGENTD_TENANT_ID"),
        ("cluster_id", "missing", "AGENTD_CLUSTER_ID"),
        ("commands.queue_url", "missing", "AGENTD_COMMANDS__QUEUE_URL"),
    )


async def test_settings_that_cannot_be_used(stack: Stack, tmp_path: Path) -> None:
    ran = await run(
        stack,
        tmp_path,
        AGENTD_BUS__VISIBILTY_S="30",
        AGENTD_TENANT_ID="acme",
        AGENTD_AWS__ENDPOINT_URL="localhost:4566",
        AGENTD_COMMANDS__QUEUE_URL="conveyor-commands",
        AGENTD_BUS__SLOTS="many",
        AGENTD_BUS__RECEIVERS_MIN="0",
        AGENTD_TELEMETRY__OTLP_ENDPOINT="collector:4318",
        AGENTD_DRAIN__GRACE_S="60",
    )
    check(
        ran,
        ("AGENTD_BUS__VISIBILTY_S", "did you mean AGENTD_BUS__VISIBILITY_S"),
        ("tenant_id", "AGENTD_TENANT_ID", "'acme'"),
        ("aws.endpoint_url", "'localhost:4566'"),
        ("commands.queue_url", "'conveyor-commands'"),
        ("bus.slots", "'many'", "integer"),
        ("bus.receivers_min", "'0'", "greater than or equal to 1"),
        ("telemetry.otlp_endpoint", "'collector:4318'"),
        ("drain", "hard_exit_s", "grace_s"),
    )


@pytest.mark.parametrize(
    ("name", "text", "problems"),
    [
        (
            "agentd.yaml",
            "bus:\n  slot: 3\n  receivers_max: x\n",
            [("bus.receivers_max", "'x'", "agentd.yaml"), ("bus.slot", "did you mean bus.slots", "agentd.yaml")],
        ),
        ("agentd.toml", "bus = \n", [("agentd.toml", "no TOML")]),
    ],
    ids=["unknown key and bad value", "no toml"],
)
@pytest.mark.slow
async def test_settings_file_that_cannot_be_used(
    stack: Stack, tmp_path: Path, name: str, text: str, problems: list[tuple[str, ...]]
) -> None:
    file = tmp_path / name
    file.write_text(text)
    check(await run(stack, tmp_path, "--config", str(file)), *problems)


@pytest.mark.parametrize("how", ["option", "variable"])
@pytest.mark.slow
async def test_settings_file_that_is_not_there(stack: Stack, tmp_path: Path, how: str) -> None:
    file = str(tmp_path / "nowhere.yaml")
    if how == "option":
        ran = await run(stack, tmp_path, "--config", file)
    else:
        ran = await run(stack, tmp_path, AGENTD_CONFIG=file)
    check(ran, (file, "No such file"))


async def test_queue_that_does_not_exist(stack: Stack, tmp_path: Path) -> None:
    url = stack.commands_url.replace("commands", "orders")
    check(await run(stack, tmp_path, AGENTD_COMMANDS__QUEUE_URL=url), ("queue commands", "GetQueueAttributes"))
    url = stack.reports_url.replace("reports", "answers")
    check(await run(stack, tmp_path, AGENTD_REPORTS_QUEUE_URL=url), ("queue reports", "GetQueueAttributes"))


@pytest.mark.slow
async def test_queue_without_a_dead_letter_queue(stack: Stack, tmp_path: Path) -> None:
    async with sqs(stack) as client:
        url = (await client.create_queue(QueueName="without-redrive-policy"))["QueueUrl"]
    ran = await run(stack, tmp_path, AGENTD_COMMANDS__QUEUE_URL=url)
    check(ran, ("commands.dead_letter_queue_url", "redrive policy"))


@pytest.mark.slow
async def test_ledger_in_a_folder_that_nothing_can_be_written_to(stack: Stack, tmp_path: Path) -> None:
    # Not by permissions, which root does not heed: nobody can make a folder inside a file.
    (tmp_path / "file").write_text("")
    path = str(tmp_path / "file" / "ledger.db")
    check(await run(stack, tmp_path, AGENTD_LEDGER__PATH=path), ("ledger", path))


@pytest.mark.slow
async def test_ledger_that_is_a_folder(stack: Stack, tmp_path: Path) -> None:
    check(await run(stack, tmp_path, AGENTD_LEDGER__PATH=str(tmp_path)), ("ledger", str(tmp_path), "not a file"))


@pytest.mark.slow
async def test_ledger_that_is_no_ledger(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text(TEXT)
    check(await run(stack, tmp_path), ("ledger", str(tmp_path / "ledger.db"), "not a database"))
    assert (tmp_path / "ledger.db").read_text() == TEXT


@contextmanager
def taken_port() -> Iterator[int]:
    """A port on loopback that somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


async def test_metrics_port_that_is_taken(stack: Stack, tmp_path: Path) -> None:
    with taken_port() as port:
        ran = await run(stack, tmp_path, AGENTD_TELEMETRY__HTTP_PORT=str(port))
    check(ran, ("telemetry.http_port", str(port), "in use"))


@pytest.mark.slow
async def test_profile_that_does_not_exist(stack: Stack, tmp_path: Path) -> None:
    ran = await run(stack, tmp_path, AGENTD_AWS__PROFILE="nobody")
    check(ran, ("profile", "nobody"))


COMMANDS = (
    "",
    "run",
    "dev",
    "demo",
    "send",
    "explain",
    "status",
    "doctor",
    "dlq",
    "dlq list",
    "dlq show",
    "dlq redrive",
    "schema",
    "config",
)


@pytest.mark.parametrize(
    "commands", [COMMANDS[::5], pytest.param(COMMANDS, marks=pytest.mark.slow)], ids=["some", "all"]
)
async def test_help_needs_no_setting(commands: Sequence[str]) -> None:
    wrong = {"AGENTD_TENANT_ID": "wrong", "AGENTD_NONSENSE": "1"}
    async with asyncio.TaskGroup() as group:
        asked = {
            command: group.create_task(agentd(*command.split(), "--help", environment=wrong)) for command in commands
        }
    for command, task in asked.items():
        ran = task.result()
        assert (ran.code, ran.err) == (0, ""), command
        assert ran.out.startswith("Usage: "), command


async def test_command_that_does_not_exist_is_wrong_usage() -> None:
    ran = await agentd("dance", environment={"AGENTD_TENANT_ID": uuid_of("tenant")})
    assert ran.code == 2
    assert "dance" in ran.err
