"""What the port promises, on every server. One file: a worker that has it starts one real Airflow for all of it."""

from collections.abc import Sequence

import pytest

from agentd.core import PermanentError, Reason, TransientError
from agentd.platform.airflow import UNFINISHED, AirflowAddress, Caller, LogLine, LogPage, Role, RunState
from tests.conformance.airflow.rig import Bench, CookieRoute, Server, bench

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]


def said(lines: Sequence[LogLine]) -> list[str]:
    return [line.event for line in lines]


async def test_health_is_told_for_each_component(at: Bench) -> None:
    health = await at.airflow.health()
    assert set(health.components) == {"scheduler", "triggerer", "dag_processor", "metadatabase"}
    assert health.unhealthy == ()
    assert health.components["scheduler"].heartbeat is not None


async def test_version_is_the_one_that_is_supported(at: Bench) -> None:
    assert (await at.airflow.version()).startswith("3.3.")


async def test_a_good_file_becomes_dags_of_its_bundle(at: Bench) -> None:
    dags = await at.airflow.dags(bundle="alpha")
    assert [dag.dag_id for dag in dags] == ["flaky", "good", "slow"]
    for dag in dags:
        assert (dag.bundle_name, dag.relative_fileloc) == ("alpha", "good.py")
        assert (dag.is_stale, dag.has_import_errors) == (False, False)
        assert dag.last_parsed_time is not None
    assert await at.airflow.dag("good") in [await at.airflow.dag(dag.dag_id) for dag in dags]
    assert await at.airflow.dag("nope") is None


async def test_a_bad_file_becomes_an_import_error_of_its_bundle(at: Bench) -> None:
    [failure] = await at.airflow.import_failures(bundle="beta")
    assert (failure.filename, failure.bundle_name) == ("bad.py", "beta")
    assert "No module named 'no_such_module'" in failure.stack_trace
    assert await at.airflow.import_failures(bundle="alpha") == []
    assert await at.airflow.dags(bundle="beta") == []


async def test_listings_are_read_to_their_end(server: Server, at: Bench) -> None:
    everything = [dag.dag_id for dag in await at.airflow.dags()]
    async with bench(server, page_size=1) as by_one:
        assert [dag.dag_id for dag in await by_one.airflow.dags()] == everything


async def test_a_run_succeeds_and_its_tasks_tell_what_they_said(at: Bench) -> None:
    run = await at.finished(await at.run("good"))
    assert run.state == "success"
    page = await at.airflow.task_instances(dag_id="good", run_id=run.dag_run_id)
    assert [(task.task_id, task.state, task.try_number) for task in page.items] == [
        ("first", "success", 1),
        ("second", "success", 1),
    ]
    assert page.total == 2
    log = await at.airflow.log("good", run.dag_run_id, "first", try_number=1)
    assert log is not None
    assert "hello from first" in said(log.lines)
    assert not log.cut
    assert not any("Log message source details" in line.event for line in log.lines)


async def test_a_log_goes_on_where_it_was_left(at: Bench) -> None:
    run = await at.finished(await at.run("good"))
    log = await at.airflow.log("good", run.dag_run_id, "second", try_number=1)
    assert log is not None
    for position in range(log.position + 1):
        rest = await at.airflow.log("good", run.dag_run_id, "second", try_number=1, position=position)
        assert rest is not None
        assert (rest.lines, rest.position) == (log.lines[position:], log.position)
    assert await at.airflow.log("good", run.dag_run_id, "second", try_number=2) is None
    assert await at.airflow.log("good", run.dag_run_id, "nope", try_number=1) is None


async def test_a_run_id_is_an_idempotency_key(at: Bench) -> None:
    run = await at.run("good")
    asked = len(at.fence.asked)
    again = await at.airflow.trigger("good", run.dag_run_id, fence=at.fence)
    assert again.queued_at == run.queued_at
    assert len(at.fence.asked) == asked
    page = await at.airflow.dag_runs(dag_id="good", limit=1)
    assert page.items[0].dag_run_id == run.dag_run_id


async def test_a_run_names_who_triggered_it_and_keeps_its_conf(at: Bench) -> None:
    alice = at.as_(Caller("alice@example.com", Role.USER))
    run = await alice.trigger(
        "good", f"{at.fence.event_id}:~+.", conf={"day": 1, "deep": {"a": [1]}}, note="again", fence=at.fence
    )
    found = await at.seen(run)
    assert (found.triggering_user_name, found.note) == ("alice@example.com", "again")
    assert found.conf == {"day": 1, "deep": {"a": [1]}}


async def test_what_does_not_exist_is_none_to_ask_and_an_error_to_change(at: Bench) -> None:
    assert await at.airflow.dag_run("good", "nope") is None
    assert await at.airflow.dag_run("nope", "nope") is None
    assert await at.airflow.task_instance("good", "nope", "first") is None
    assert (await at.airflow.dag_runs(dag_id="nope")).items == ()
    assert (await at.airflow.task_instances(dag_id="good", run_id="nope")).items == ()
    for change in (
        at.airflow.trigger("nope", "x", fence=at.fence),
        at.airflow.set_run_state("good", "nope", RunState.FAILED, fence=at.fence),
        at.airflow.clear("good", "nope", fence=at.fence),
    ):
        with pytest.raises(PermanentError, match=r"airflow:test.*(not found|no such run)") as raised:
            await change
        assert raised.value.reason is Reason.INVALID_REQUEST


async def test_what_airflow_does_not_take_is_told_in_its_own_words(at: Bench) -> None:
    with pytest.raises(PermanentError, match="trigger on airflow:test: 400: The run_id provided 'a b'") as raised:
        await at.airflow.trigger("good", "a b", fence=at.fence)
    assert raised.value.reason is Reason.INVALID_REQUEST


async def test_a_failed_task_says_why_and_is_done_again(at: Bench) -> None:
    run = await at.finished(await at.run("flaky"))
    assert run.state == "failed"
    page = await at.airflow.task_instances(dag_id="flaky", run_id=run.dag_run_id)
    assert {task.task_id: task.state for task in page.items} == {"fails": "failed", "after": "upstream_failed"}
    log = await at.airflow.log("flaky", run.dag_run_id, "fails", try_number=1)
    assert log is not None
    [error] = [line.error for line in log.lines if line.error]
    assert error.endswith("RuntimeError: it fails as it was told")

    asked = len(at.fence.asked)
    meant = await at.airflow.clear(
        "flaky", run.dag_run_id, task_ids=["fails"], downstream=True, dry_run=True, fence=at.fence
    )
    assert {task.task_id for task in meant} == {"fails", "after"}
    assert (await at.seen(run)).state == "failed"
    assert len(at.fence.asked) == asked

    assert await at.airflow.clear("flaky", run.dag_run_id, task_ids=["fails"], downstream=True, fence=at.fence) == meant
    assert (await at.finished(run)).state == "success"
    task = await at.airflow.task_instance("flaky", run.dag_run_id, "fails")
    assert task is not None
    assert (task.state, task.try_number) == ("success", 2)
    for number in (1, 2):
        log = await at.airflow.log("flaky", run.dag_run_id, "fails", try_number=number)
        assert log is not None
        assert "trying" in said(log.lines)


async def test_clearing_what_has_not_failed_changes_nothing(at: Bench) -> None:
    run = await at.finished(await at.run("good"))
    asked = len(at.fence.asked)
    assert await at.airflow.clear("good", run.dag_run_id, fence=at.fence) == ()
    assert await at.airflow.clear("good", run.dag_run_id, task_ids=["nope"], only_failed=False, fence=at.fence) == ()
    assert len(at.fence.asked) == asked


async def test_a_running_task_is_seen_is_not_cleared_and_ends_with_its_run(at: Bench) -> None:
    run = await at.run("slow")

    async def look() -> tuple[str, ...]:
        page = await at.airflow.task_instances(states=UNFINISHED)
        return tuple(task.task_id for task in page.items if task.state == "running")

    await at.until(look, lambda running: "waits" in running)
    log = await at.until(
        lambda: at.airflow.log("slow", run.dag_run_id, "waits", try_number=1),
        lambda seen: seen is not None and "waiting" in said(seen.lines),
    )
    assert log is not None
    rest = await at.airflow.log("slow", run.dag_run_id, "waits", try_number=1, position=log.position)
    assert rest == LogPage((), log.position, cut=False)
    with pytest.raises(PermanentError, match="clear on airflow:test: 409") as raised:
        await at.airflow.clear("slow", run.dag_run_id, only_failed=False, fence=at.fence)
    assert raised.value.reason is Reason.IN_USE
    assert await at.airflow.set_run_state("slow", run.dag_run_id, RunState.FAILED, fence=at.fence)
    assert (await at.seen(run)).state == "failed"
    assert not await at.airflow.set_run_state("slow", run.dag_run_id, RunState.FAILED, fence=at.fence)
    await at.until(look, lambda running: not running)
    failed = await at.airflow.dag_runs(dag_id="slow", states=["failed"])
    assert run.dag_run_id in [found.dag_run_id for found in failed.items]


async def test_pausing_all_tells_which_were_not_paused(at: Bench) -> None:
    await at.airflow.set_paused(["good", "slow"], False, fence=at.fence)
    await at.airflow.set_paused(["flaky"], True, fence=at.fence)
    assert await at.airflow.pause_all(fence=at.fence) == ["good", "slow"]
    assert all(dag.is_paused for dag in await at.airflow.dags())
    asked = len(at.fence.asked)
    assert await at.airflow.pause_all(fence=at.fence) == []
    assert len(at.fence.asked) == asked
    assert await at.airflow.set_paused(["good", "slow", "gone"], False, fence=at.fence) == ["good", "slow"]
    assert await at.airflow.set_paused(["good", "slow"], False, fence=at.fence) == []
    assert len(at.fence.asked) == asked + 2


async def test_a_paused_dag_starts_no_task(at: Bench) -> None:
    await at.airflow.set_paused(["good"], True, fence=at.fence)
    run = await at.airflow.trigger("good", f"paused-{at.fence.event_id}", fence=at.fence)
    assert (await at.seen(run)).state == "queued"
    await at.airflow.set_paused(["good"], False, fence=at.fence)
    assert (await at.finished(run)).state == "success"


async def test_a_viewer_reads_and_changes_nothing(at: Bench) -> None:
    viewer = at.as_(Caller("bob", Role.VIEWER))
    assert len(await viewer.dags()) == 3
    with pytest.raises(PermanentError, match="the caller lacks a right") as raised:
        await viewer.trigger("good", "never", fence=at.fence)
    assert raised.value.reason is Reason.ACCESS_DENIED
    assert await at.airflow.dag_run("good", "never") is None


async def test_a_token_in_a_cookie_is_as_good(server: Server) -> None:
    async with bench(server, route=CookieRoute(server.url)) as at:
        assert len(await at.airflow.dags()) == 3
        run = await at.run("good")
        assert (await at.seen(run)).triggering_user_name == "conveyor-agent"


async def test_the_newest_tasks_of_all_runs_come_first(at: Bench) -> None:
    runs = [await at.finished(await at.run("good")) for _ in range(2)]
    page = await at.airflow.task_instances(dag_id="good", states=["success"], limit=3)
    seen = [(task.dag_run_id, task.task_id) for task in page.items]
    older, newer = (run.dag_run_id for run in runs)
    assert seen == [(newer, "second"), (newer, "first"), (older, "second")]
    rest = await at.airflow.task_instances(dag_id="good", states=["success"], offset=3, limit=1)
    assert (rest.items[0].dag_run_id, rest.items[0].task_id) == (older, "first")


@pytest.mark.parametrize("name", ["", ".", "..", "~"])
async def test_a_name_that_leads_elsewhere_or_means_everything_is_no_id(at: Bench, name: str) -> None:
    for ask in (
        at.airflow.dag(name),
        at.airflow.dag_run("good", name),
        at.airflow.task_instance("good", "x", name),
        at.airflow.log("good", "x", name, try_number=1),
        at.airflow.trigger(name, "x", fence=at.fence),
        at.airflow.clear(name, "x", fence=at.fence),
    ):
        with pytest.raises(PermanentError, match="is no id of a DAG, a run or a task"):
            await ask
    assert at.fence.asked == []


async def test_another_secret_is_not_accepted(at: Bench) -> None:
    address = AirflowAddress("test", at.server.address.prefix, "x" * 64)
    with pytest.raises(TransientError, match=r"the agent's token is not accepted.*Invalid JWT token"):
        await at.airflows.of(address).dags()


async def test_another_prefix_is_an_answer_that_makes_no_sense(at: Bench) -> None:
    address = AirflowAddress("test", f"{at.server.address.prefix}/elsewhere", at.server.address.jwt_secret)
    with pytest.raises(TransientError, match=r"health on airflow:test: .*text/html: the prefix may be another one"):
        await at.airflows.of(address).health()


async def test_dags_of_a_bundle_that_has_gone_are_stale_and_come_back_as_they_were(at: Bench) -> None:
    await at.airflow.set_paused(["good"], False, fence=at.fence)
    await at.server.deploy("beta")
    await at.until(at.airflow.dags, lambda dags: dags == [])
    left = await at.airflow.dags(stale=True)
    assert [(dag.dag_id, dag.is_stale) for dag in left] == [("flaky", True), ("good", True), ("slow", True)]
    assert len(await at.airflow.import_failures()) == 1
    await at.server.deploy("alpha")
    back = await at.until(at.airflow.dags, lambda dags: len(dags) == 3)
    assert {dag.dag_id: dag.is_paused for dag in back}["good"] is False
    await at.until(at.airflow.import_failures, lambda failures: failures == [])
    await at.server.deploy("alpha", "beta")
