"""The commands, as an operator types them, against one running stack."""

import asyncio
import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from agentd.cli.control_plane import ControlPlane, control_plane, event
from agentd.cli.stack import DaemonProcess, Stack, start_stack
from agentd.cli.story import Stage
from agentd.core import system_runtime
from agentd.events import EnvironmentCreate, ProjectCreate
from tests.e2e.harness import Ran, agentd, eventually, running, settled, sqs, uuid_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

Json = Any  # what a command prints


@dataclass(frozen=True, slots=True)
class Site:
    """A stack with a daemon, and a control plane that collects reports."""

    stack: Stack
    daemon: DaemonProcess
    plane: ControlPlane
    environment: Mapping[str, str]

    async def run(self, *arguments: str, stdin: str = "", code: int = 0) -> Ran:
        """A command; its exit code is checked, and that it never shows a traceback."""
        ran = await agentd(*arguments, environment=self.environment, stdin=stdin)
        assert "Traceback" not in ran.err, ran.err
        assert ran.code == code, f"exit code {ran.code}: {ran.err}"
        return ran

    async def json(self, *arguments: str) -> Json:
        """What a command prints with `-o json`."""
        return json.loads((await self.run(*arguments, "-o", "json")).out)

    async def dead_letters(self) -> dict[str, Json]:
        """What `dlq list` shows, by the event's id or the message's."""
        return {entry["key"].partition("/")[2]: entry for entry in await self.json("dlq", "list")}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """One for all: each test has its own subjects."""
    folder = tmp_path_factory.mktemp("command-line")
    settings = {"AGENTD_ARTIFACTS__DIRECTORY": str(folder / "artifacts")}
    async with (
        start_stack(folder) as stack,
        running(stack, **settings) as daemon,
        control_plane(stack, system_runtime()) as plane,
    ):
        port = daemon.http_url.rsplit(":", 1)[1]
        environment = {**stack.environment(**settings), "AGENTD_TELEMETRY__HTTP_PORT": port}
        yield Site(stack, daemon, plane, environment)


def creation(name: str, generation: int = 1, **attributes: object) -> str:
    """The creation of a project of that name."""
    data = ProjectCreate(project_id=uuid_of(name), project_name=name)
    return event(data, generation, event_id=uuid_of(f"create {name} {generation}"), **attributes)


async def test_send_takes_a_file_and_standard_input(site: Site, tmp_path: Path) -> None:
    (tmp_path / "event.json").write_text(creation("from-file"))
    ran = await site.run("send", str(tmp_path / "event.json"))
    assert ran.out.startswith(f"{uuid_of('create from-file 1')} sent: conveyor.project.create.v1 project/")
    printed = json.loads((await site.run("send", "-", "-o", "json", stdin=creation("from-stdin"))).out)
    assert printed["id"] == uuid_of("create from-stdin 1")
    assert printed["sent"] is True
    for name in ("from-file", "from-stdin"):
        report = await site.plane.report(uuid_of(f"create {name} 1"))
        assert report["data"]["outcome"] == "succeeded"


async def test_send_refuses_what_is_no_event_with_path_found_and_allowed(site: Site) -> None:
    wrong = json.loads(creation("wrong"))
    wrong["data"]["project_name"] = "Not Allowed"
    wrong["generation"] = "1"
    ran = await site.run("send", "-", stdin=json.dumps(wrong), code=2)
    assert ran.err.startswith("error: ")
    assert len(ran.err.splitlines()) == 1
    assert "generation: found '1'; input should be a valid integer" in ran.err
    wrong["generation"] = 1
    ran = await site.run("send", "-", stdin=json.dumps(wrong), code=2)
    assert "data.project_name: found 'Not Allowed'" in ran.err
    assert "^[a-z0-9]+" in ran.err
    ran = await site.run("send", "-", stdin="{", code=2)
    assert "no JSON" in ran.err
    ran = await site.run("send", "/nowhere.json", code=2)
    assert "/nowhere.json" in ran.err


async def test_dry_run_sends_nothing(site: Site) -> None:
    ran = await site.run("send", "--dry-run", "-", stdin=creation("not-sent"))
    assert "is valid" in ran.out
    ran = await site.run("explain", uuid_of("create not-sent 1"), code=1)
    assert "knows no such event" in ran.err


async def test_large_event_travels_by_claim_check(site: Site) -> None:
    large = json.loads(creation("large"))
    large["data"]["padding"] = "x" * 1_500_000  # more than any SQS queue takes
    await site.run("send", "-", stdin=json.dumps(large))
    report = await site.plane.report(uuid_of("create large 1"))
    assert (report["data"]["outcome"], report["data"]["changed"]) == ("succeeded", True)
    without = {name: value for name, value in site.environment.items() if "ARTIFACTS" not in name}
    ran = await agentd("send", "-", environment=without, stdin=json.dumps(large))
    assert ran.code == 1
    assert "artifacts.directory" in ran.err


async def test_explain_by_event_by_subject_and_unknown(site: Site) -> None:
    for generation in (1, 3, 2):
        await site.plane.send(creation("explained", generation))
        await site.plane.report(uuid_of(f"create explained {generation}"))
    event_id, subject = uuid_of("create explained 1"), f"project/{uuid_of('explained')}"
    ran = await site.run("explain", event_id)
    assert "succeeded after 1 attempt with changes" in ran.out
    assert "wrote to: ecr:repository/conveyor/data-plane/project/explained" in ran.out
    (explanation,) = (await site.json("explain", event_id))["events"]
    assert [change["what"] for change in explanation["transitions"]] == ["admitted", "claimed", "finished"]
    of_subject = await site.json("explain", subject)
    assert {one["record"]["generation"]: one["record"]["outcome"]["kind"] for one in of_subject["events"]} == {
        1: "succeeded",
        2: "superseded",
        3: "succeeded",
    }
    (found,) = of_subject["subjects"]
    assert (found["facets"], found["names"]) == ({"config": 3, "spec": 3}, [["project", "explained"]])
    ran = await site.run("explain", subject)
    assert f"{subject}  nobody works on it" in ran.out
    assert "names: project explained" in ran.out
    assert "superseded (newer_generation)" in ran.out
    ran = await site.run("explain", uuid_of("nothing"), code=1)
    assert ran.err.startswith("Error: ")
    assert "knows no such event" in ran.err


async def test_explain_leads_from_an_object_to_its_event(site: Site) -> None:
    data = EnvironmentCreate(environment_id=uuid_of("led"), environment_name="led")
    traceparent = f"00-{'4b' * 16}-{'1' * 16}-01"
    await site.plane.send(event(data, 1, event_id=uuid_of("create led"), traceparent=traceparent))
    await site.plane.report(uuid_of("create led"))
    ran = await site.run("explain", "networkpolicy/led/default-deny")
    first, owner, change, *_ = ran.out.splitlines()
    assert first == "kubernetes:led/networkpolicy/default-deny"
    assert owner == f"  of environment/{uuid_of('led')}, generation 1"
    assert change == f"  last changed by event {uuid_of('create led')}, trace {'4b' * 16}"
    assert "succeeded after 1 attempt with changes" in ran.out
    found = await site.json("explain", "serviceaccount/led/default")
    assert found["origin"]["path"] == ["kubernetes:led/serviceaccount/default", "kubernetes:namespace/led"]
    assert found["origin"]["event_id"] == found["events"][0]["record"]["event_id"] == uuid_of("create led")
    assert found["events"][0]["trace_id"] == "4b" * 16
    assert "no such object" in (await site.run("explain", "pod/led/nothing", code=1)).err
    assert "not the agent's own" in (await site.run("explain", "namespace/default", code=1)).err


async def test_history_tells_what_was_desired_when_and_what_has_changed(site: Site) -> None:
    name, subject = "remembered", f"project/{uuid_of('remembered')}"
    for generation, identity in ((1, "first"), (2, "second")):
        data = ProjectCreate(project_id=uuid_of(name), project_name=name, default_identity=identity)
        event_id = uuid_of(f"create {name} {generation}")
        await site.plane.send(event(data, generation, event_id=event_id))
        assert (await site.plane.report(event_id))["data"]["outcome"] == "succeeded"
    listed = (await site.run("history", subject)).out
    assert listed.count("conveyor.project.create.v1") == 2
    found = await site.json("history", subject)
    assert [version["generation"] for version in found["versions"]] == [1, 2]
    assert found["known_since"] is None
    assert (await site.json("history", subject, "--at", "1"))["spec"]["default_identity"] == "first"
    assert (await site.json("history", subject, "--at", "now"))["spec"]["default_identity"] == "second"
    assert await site.json("history", subject, "--at", "2020-01-01T00:00:00Z") == {}
    differs = (await site.run("history", subject, "--diff", "1", "now")).out
    assert '    spec.default_identity: "first" -> "second"\n' in differs
    assert (await site.run("history", subject, "--diff", "2", "now")).out == "nothing differs\n"
    for wrong, words in (
        (("nonsense",), "expected <kind>/<uuid>"),
        ((subject, "--at", "9"), "no event that is kept has claimed this generation"),
        ((subject, "--at", "2020-01-01T00:00:00"), "say in which time zone"),
        ((subject, "--at", "yesterday"), "expected a time"),
    ):
        assert words in (await site.run("history", *wrong, code=2)).err
    unknown = await site.run("history", f"project/{uuid_of('never heard of')}", code=1)
    assert "knows no such subject" in unknown.err


async def test_status_shows_the_daemon_and_says_when_there_is_none(site: Site) -> None:
    document = await site.json("status")
    assert document["draining"] is False
    assert document["ailments"] == []
    assert "commands-receiver-0" in {loop["loop"] for loop in document["loops"]}
    ran = await site.run("status")
    assert document["replica"] in ran.out
    assert "commands-receiver-0" in ran.out
    ran = await site.run("status", "--url", "http://127.0.0.1:9", code=1)
    assert "is it running?" in ran.err


@pytest.mark.slow
async def test_dead_letter_is_listed_shown_and_redriven(site: Site) -> None:
    stage = Stage(site.stack, system_runtime())
    taken, event_id = creation("delta"), uuid_of("create delta 1")
    await stage.occupy()
    await site.plane.send(taken)
    await site.plane.report(event_id)
    await settled(site.stack)
    letters = await site.dead_letters()
    assert letters[event_id]["reason"] == "foreign_object"
    table = (await site.run("dlq", "list")).out
    assert event_id in table
    message = letters[event_id]["message"]
    assert message in table, "a table that is no terminal's is cut"

    ran = await site.run("dlq", "show", event_id)
    assert taken in ran.out
    assert "Rename or remove it" in ran.out
    await site.run("dlq", "show", uuid_of("nothing"), code=1)
    await site.run("dlq", "redrive", code=2)
    ran = await site.run("dlq", "redrive", uuid_of("nothing"), code=1)
    assert f"not there: {uuid_of('nothing')}" in ran.err

    async with stage._ecr() as ecr:
        await ecr.delete_repository(repositoryName="conveyor/data-plane/project/delta")
    redriven = await site.json("dlq", "redrive", event_id, "--rate", "1000")
    assert [entry["key"] for entry in redriven["redriven"]] == [f"event/{event_id}"]
    report = await site.plane.report(event_id, epoch=2)
    assert (report["data"]["outcome"], report["data"]["changed"]) == ("succeeded", True)


@pytest.mark.slow
async def test_dead_letters_that_fail_again_are_redriven_once(site: Site) -> None:
    """By reason, and all: what comes back to the dead letters meanwhile is not taken a second time."""
    async with sqs(site.stack) as client:
        sent = await client.send_message(QueueUrl=site.stack.commands_url, MessageBody='{"hello": "world"')
    await site.plane.send(creation("praised").replace("project.create", "project.praise"))
    await site.plane.report(uuid_of("create praised 1"))
    await site.plane.report(None)
    await settled(site.stack)
    shown = await site.json("dlq", "show", sent["MessageId"])
    assert (shown["body"], shown["reason"]) == ('{"hello": "world"', "malformed")

    redriven = await site.json("dlq", "redrive", "--reason", "malformed", "--rate", "1000")
    assert [entry["body"] for entry in redriven["redriven"]] == ['{"hello": "world"']
    await site.plane.report(None, count=2)
    await settled(site.stack)
    everything = await site.json("dlq", "redrive", "--all", "--rate", "1000")
    assert sorted(entry["reason"] for entry in everything["redriven"]) == ["malformed", "unknown_type"]
    await site.plane.report(None, count=3)
    await settled(site.stack)
    assert {letter["reason"] for letter in (await site.dead_letters()).values()} == {"malformed", "unknown_type"}


async def test_schema_prints_the_contract(site: Site, tmp_path: Path) -> None:
    schemas = await site.json("schema")
    assert "conveyor.project.create.v1" in json.dumps(schemas)
    assert (await site.json("schema", "asyncapi"))["asyncapi"].startswith("3.")
    needed = await site.json("schema", "permissions")
    assert "ecr:CreateRepository" in {permission["action"] for permission in needed}
    assert "ecr:CreateRepository" in (await site.run("schema", "permissions")).out
    await site.run("schema", "--write", str(tmp_path / "schemas"))
    assert (tmp_path / "schemas" / "asyncapi.json").exists()


async def test_config_shows_values_and_where_they_come_from(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "agentd.yaml"
    file.write_text("bus:\n  slots: 7\n  wait_s: 9\n")
    ran = await site.run("--config", str(file), "config", "-o", "json")
    rows = {row["setting"]: (row["value"], row["origin"]) for row in json.loads(ran.out)}
    assert rows["bus.slots"] == ("7", f"file {file}")
    assert rows["bus.wait_s"] == ("1", "environment AGENTD_BUS__WAIT_S")
    assert rows["bus.visibility_s"] == ("60", "default")
    table = (await site.run("--config", str(file), "config")).out
    assert f"file {file}" in table
    assert site.stack.commands_url in table


@pytest.mark.slow
async def test_dev_comes_up_and_its_commands_work_and_it_ends_with_ctrl_c(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AGENTD_", "AWS_"))}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    with (tmp_path / "dev.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *("agentd", "dev", "--folder", str(folder)), stdout=log, stderr=log, env=environment, start_new_session=True
        )
    try:

        async def is_up() -> bool:
            return "Ctrl-C ends it all" in (tmp_path / "dev.log").read_text()

        await eventually(is_up, within_s=30)
        lines = (tmp_path / "dev.log").read_text().splitlines()
        commands = [line.partition("  #")[0].strip() for line in lines if line.startswith("  ")]
        assert commands[0] == f". {shlex.quote(str(folder))}/env"
        tools = {command: shlex.split(command)[0] for command in commands[1:]}
        assert set(tools.values()) == {"agentd", "curl", "kubectl", "grpcurl"}
        # What names a subject in dots is for the reader to fill in.
        runnable = [
            command
            for command, tool in tools.items()
            if shutil.which(tool, path=environment["PATH"]) and "..." not in command
        ]
        assert {"agentd", "curl"} <= {tools[command] for command in runnable}
        for command in runnable:

            async def works(command: str = command) -> bool:
                return await shell(f"{commands[0]} && {command}", environment) == 0

            await eventually(works, within_s=10)  # explain: once the daemon has received what was sent
        # As a terminal does it: to every process of the group.
        os.killpg(process.pid, signal.SIGINT)
        async with asyncio.timeout(20):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    told = (tmp_path / "dev.log").read_text()
    assert "agent.drained" in told
    assert "agent.aborting" not in told
    assert "Traceback" not in told


async def shell(command: str, environment: Mapping[str, str]) -> int:
    """The exit code of a command line."""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", command), env=environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait()


async def test_a_plan_is_made_looked_at_and_the_event_held_to_it(site: Site) -> None:
    wanted = json.loads(creation("planned"))
    ran = await site.run("plan", "-", stdin=json.dumps(wanted))
    assert "+ create ecr:repository/" in ran.out
    assert "2 to create" in ran.out
    plan = json.loads((await site.run("plan", "-", "-o", "json", stdin=json.dumps(wanted))).out)

    asked = {**wanted, "id": uuid_of("plan planned"), "data": {**wanted["data"], "plan": True}}
    await site.run("send", "-", stdin=json.dumps(asked))
    report = (await site.plane.report(asked["id"]))["data"]
    assert (report["outcome"], report["changed"], report["objects"]) == ("succeeded", False, [])
    assert report["result"] == plan, "the daemon's plan is the command's"

    await site.run("send", "-", stdin=json.dumps({**wanted, "planhash": plan["hash"]}))
    report = (await site.plane.report(wanted["id"]))["data"]
    assert (report["outcome"], report["changed"]) == ("succeeded", True)
    assert sorted(report["objects"]) == sorted(change["object"] for change in plan["changes"])

    again = json.loads(creation("planned", 2))
    assert "nothing to do" in (await site.run("plan", "-", stdin=json.dumps(again))).out
    await site.run("send", "-", stdin=json.dumps({**again, "planhash": plan["hash"]}))
    report = (await site.plane.report(again["id"]))["data"]
    assert (report["outcome"], report["reason"]) == ("failed", "plan_outdated")
    assert "nothing is to be done" in report["message"]
    ran = await site.run("plan", "-", stdin=creation("planned"), code=1)
    assert "conflict" in ran.err or "newer_generation" in ran.err
