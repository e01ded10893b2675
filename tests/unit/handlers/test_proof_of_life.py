"""A deploy counts once its builds live. Whatever is in their way, what was live is live again, and the failure says why."""

import json
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio

from agentd.cli.stack_airflow import play_airflows
from agentd.core import NotReady, PermanentError, Reason, system_runtime
from agentd.embedded.airflow import DagFile, DagSpec, EmbeddedAirflow, Setup, Task
from agentd.events import EnvironmentDeploy, EnvironmentSpec, EventData, Power
from agentd.platform import AirflowDefaults, Airflows, ClusterDefaults, keys
from agentd.platform.airflow import AirflowAddress
from agentd.platform.airflow_defaults import Patience, Release
from agentd.platform.airflow_rest import DirectRoute, RestAirflows
from agentd.platform.config import AirflowApiConfig
from agentd.telemetry import Metrics
from handlers.manifests import Environment
from handlers.manifests.airflow import AirflowInstance, AirflowKeys
from handlers.manifests.airflow.check import check
from handlers.manifests.airflow.keys import KEYS
from handlers.manifests.kinds import DEPLOYMENT, JOB, SECRET
from handlers.manifests.projects import DeployedProject
from tests.conformance.cluster.relay import Fault, Where
from tests.unit.handlers.context import HandlerContext
from tests.unit.handlers.world import Project, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD = DagFile(filename="good.py", dags=(DagSpec(dag_id="daily"),))
BAD = DagFile(filename="bad.py", error="Traceback ...\nModuleNotFoundError: No module named 'pandas'\n")
_BEHAVIOUR = "kubelet.conveyor.internal/"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def embedded() -> AsyncIterator[EmbeddedAirflow]:
    async with EmbeddedAirflow.start_here(system_runtime()) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def airflow(at: World, embedded: EmbeddedAirflow) -> AsyncIterator[EmbeddedAirflow]:
    """The environment's Airflow, which the handlers ask; looks are short, so that what is open is soon told."""
    async with DirectRoute(embedded.url) as route:
        airflows = RestAirflows(route, AirflowApiConfig(), metrics=Metrics(), runtime=system_runtime())
        at.control.ports |= {Airflows: airflows, ClusterDefaults: replace(at.defaults, ready_wait_s=2.0)}
        yield embedded


async def read(at: World, airflow: EmbeddedAirflow, **bundles: DagFile) -> None:
    """Have the DAG processor read these bundles now."""
    setup = Setup(jwt_secret=await jwt_secret(at), bundles={name: (file,) for name, file in bundles.items()})
    await airflow.be(at.name, setup)


async def jwt_secret(at: World) -> str:
    """What the environment's tokens are signed with."""
    return b64decode((await at.seen(SECRET, KEYS))["data"]["jwt-secret"]).decode()


async def attempt(at: World, data: EventData, context: HandlerContext) -> Exception | None:
    """One attempt; what it ended with."""
    try:
        await at.resume(data, context)
    except (NotReady, PermanentError) as error:
        return error
    return None


async def until_told(at: World, data: EventData, context: HandlerContext, words: str) -> None:
    """Attempts until one waits for this: what comes before takes as long as it takes."""
    for _ in range(20):
        error = await attempt(at, data, context)
        assert isinstance(error, NotReady), error
        if words in error.message:
            return
    raise AssertionError(f"it never waited for {words}, but: {error}")


async def refused(at: World, data: EventData, context: HandlerContext, reason: Reason) -> str:
    """Attempts until the event fails for this reason; what it says."""
    for _ in range(20):
        error = await attempt(at, data, context)
        if isinstance(error, PermanentError):
            assert error.reason is reason, error
            return error.message
        assert error is not None
    raise AssertionError("it never failed")


async def is_live(at: World, project: Project, build: str) -> None:
    """Everybody agrees on which build is live: records, marks, and what reads DAGs."""
    record = await at.record(project)
    assert record is not None
    assert record["data"]["build-id"] == build
    assert await at.deployed(project) == {one: (at.name,) if one == build else () for one in project.builds}
    pod = (await at.seen(DEPLOYMENT, "airflow-dag-processor"))["spec"]["template"]["spec"]
    images = [volume["image"]["reference"] for volume in pod["volumes"] if "image" in volume]
    assert [image.rpartition("@")[2] for image in images] == [project.builds[build]]


async def unread(
    at: World, airflow: EmbeddedAirflow, project: Project, build: str, generation: int
) -> tuple[EnvironmentDeploy, HandlerContext]:
    """A deploy up to where nothing is left but that the DAG processor reads the build: its check has found one DAG."""
    await read(at, airflow)
    await foretell(at, project, build, behaviour="complete", message=json.dumps({"dags": {project.name: 1}}))
    data = at.deploy(project.deployment(build))
    context = at.begin(data, generation)
    await until_told(at, data, context, f"the DAG processor has not read these projects yet: {project.name}")
    return data, context


async def with_a_live_build(at: World, airflow: EmbeddedAirflow) -> tuple[Project, str, str]:
    """An environment with a build that lives, and another one to be deployed."""
    shop = await at.project(builds=2)
    first, second = shop.builds
    await at.run(at.create())
    data, context = await unread(at, airflow, shop, first, 2)
    await read(at, airflow, shop=GOOD)
    while (error := await attempt(at, data, context)) is not None:
        assert isinstance(error, NotReady), error
    await is_live(at, shop, first)
    return shop, first, second


async def foretell(at: World, project: Project, build: str, **wish: str) -> None:
    """Have the check of this build alone end like this: its Job is there before, and the kubelet does what its pods say."""
    chosen = cast("AirflowDefaults", at.control.ports[AirflowDefaults])
    instance = AirflowInstance(
        Environment(at.name, EnvironmentSpec(), Power.AWAKE, at.defaults),
        chosen.releases[0],
        chosen,
        AirflowKeys("", "", "", ""),
        await at.cluster.mounts_images(),
    )
    repository = await at.registry.registry.get(at.registry.name(project.name))
    assert repository is not None
    image = f"{repository.uri}@{project.builds[build]}"
    deployed = DeployedProject(project.id, project.name, build, project.builds[build], image, None, {}, {})
    job = check(instance, [deployed])
    job["metadata"]["labels"] |= {
        keys.OWNER_ID: at.registry.owner_id,
        keys.ENVIRONMENT_ID: at.environment_id,
    }
    annotations = {f"{_BEHAVIOUR}{name.replace('_', '-')}": value for name, value in wish.items()}
    job["spec"]["template"]["metadata"]["annotations"] = annotations
    await at.hands.call("POST", f"/apis/batch/v1/namespaces/{at.name}/jobs", job)


async def test_a_build_is_live_once_airflow_has_read_it(at: World, airflow: EmbeddedAirflow) -> None:
    shop, first, second = await with_a_live_build(at, airflow)
    data, context = await unread(at, airflow, shop, second, 3)
    record = await at.record(shop)
    assert record is not None
    assert record["data"]["build-id"] == first
    await read(at, airflow, shop=GOOD)
    assert await attempt(at, data, context) is None
    await is_live(at, shop, second)


async def test_an_import_error_brings_the_previous_build_back(at: World, airflow: EmbeddedAirflow) -> None:
    shop, first, second = await with_a_live_build(at, airflow)
    data, context = await unread(at, airflow, shop, second, 3)
    await read(at, airflow, shop=BAD)
    said = await refused(at, data, context, Reason.IMPORT_ERRORS)
    assert "project shop, bad.py" in said
    assert "No module named 'pandas'; the previous builds have been put back" in said
    await is_live(at, shop, first)


async def test_what_is_not_read_in_time_is_given_up(at: World, airflow: EmbeddedAirflow) -> None:
    shop, first, second = await with_a_live_build(at, airflow)
    data, context = await unread(at, airflow, shop, second, 3)
    hurried = AirflowDefaults(patience=Patience(start_s=0.1, parse_s=0.1))
    context.ports = {**context.ports, AirflowDefaults: hurried}
    assert "it was given 0.2 s" in await refused(at, data, context, Reason.NOT_UP_IN_TIME)
    await is_live(at, shop, first)


async def test_a_crash_half_way_back_is_finished_by_the_next_attempt(at: World, airflow: EmbeddedAirflow) -> None:
    shop, first, second = await with_a_live_build(at, airflow)
    data, context = await unread(at, airflow, shop, second, 3)
    await read(at, airflow, shop=BAD)

    async def refuse_the_next() -> None:
        at.relay.show(Fault(Where.BEFORE, "PATCH", "airflow-worker", answer=(403, {}, {"kind": "Status"})))

    # The first look at the template is the switch's own, the next one is on the way back.
    at.relay.show(Fault(Where.THROUGH, "PATCH", "airflow-worker", before=refuse_the_next))
    await refused(at, data, context, Reason.ACCESS_DENIED)
    assert context.journal["switch builds"]["reason"] == "IMPORT_ERRORS"
    # By now it would be read without an error. What was found is what counts.
    await read(at, airflow, shop=GOOD)
    await refused(at, data, context, Reason.IMPORT_ERRORS)
    await is_live(at, shop, first)


async def test_an_image_that_cannot_be_pulled_never_lives(at: World, airflow: EmbeddedAirflow) -> None:
    shop, first, second = await with_a_live_build(at, airflow)
    data, context = await unread(at, airflow, shop, second, 3)
    said = {"behaviour": "fail", "reason": "ErrImagePull", "message": "pull access denied: 403 Forbidden"}
    path = f"/apis/apps/v1/namespaces/{at.name}/deployments/airflow-dag-processor"
    annotations = {f"{_BEHAVIOUR}{name}": value for name, value in said.items()}
    await at.hands.patch(path, {"spec": {"template": {"metadata": {"annotations": annotations}}}})
    assert "403 Forbidden" in await refused(at, data, context, Reason.IMAGE_DENIED)
    await is_live(at, shop, first)


async def test_a_build_with_import_errors_is_refused_before_anything_is_touched(
    at: World, airflow: EmbeddedAirflow
) -> None:
    shop, first, second = await with_a_live_build(at, airflow)
    told = {"errors": [{"bundle": "shop", "file": "a.py", "text": "SyntaxError"}], "all_errors": 1}
    await foretell(at, shop, second, behaviour="fail", exit_code="3", message=json.dumps(told))
    before = await at.seen(DEPLOYMENT, "airflow-dag-processor")
    data = at.deploy(shop.deployment(second))
    context = at.begin(data, 3)
    assert await refused(at, data, context, Reason.IMPORT_ERRORS) == "project shop, a.py: SyntaxError"
    assert (await at.seen(DEPLOYMENT, "airflow-dag-processor"))["spec"] == before["spec"]
    await is_live(at, shop, first)


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ({"behaviour": "fail", "reason": "ErrImagePull", "message": "not found"}, Reason.IMAGE_MISSING),
        ({"behaviour": "fail", "reason": "OOMKilled"}, Reason.OUT_OF_MEMORY),
    ],
)
async def test_a_check_that_cannot_be_made_says_why_and_can_be_made_again(
    at: World, airflow: EmbeddedAirflow, wish: dict[str, str], reason: Reason
) -> None:
    shop, first, second = await with_a_live_build(at, airflow)
    await foretell(at, shop, second, **wish)
    data = at.deploy(shop.deployment(second))
    context = at.begin(data, 3)
    await refused(at, data, context, reason)
    await is_live(at, shop, first)
    await unread(at, airflow, shop, second, 4)


async def test_builds_that_are_live_are_not_checked_again(at: World, airflow: EmbeddedAirflow) -> None:
    shop, first, _ = await with_a_live_build(at, airflow)
    jobs = {job["metadata"]["uid"] for job in await at.cluster.list(JOB, namespace=at.name)}
    await at.writes()
    assert await attempt(at, again := at.deploy(shop.deployment(first)), at.begin(again, 3)) is None
    assert {job["metadata"]["uid"] for job in await at.cluster.list(JOB, namespace=at.name)} == jobs
    # The stamps of a newer generation, and not a word more.
    written = await at.writes()
    assert not [what for what in written if what.startswith(("POST", "DELETE"))]


async def test_a_newer_airflow_comes_only_when_it_can_read_what_is_live(at: World, airflow: EmbeddedAirflow) -> None:
    newest = AirflowDefaults().releases[0]
    at.control.ports[AirflowDefaults] = AirflowDefaults(releases=(Release("3.3.1", "apache/airflow:3.3.1"),))
    shop, first, _ = await with_a_live_build(at, airflow)
    at.control.ports[AirflowDefaults] = AirflowDefaults(releases=(newest,))
    told = {"errors": [{"bundle": "shop", "file": "a.py", "text": "no longer there"}], "all_errors": 1}
    await foretell(at, shop, first, behaviour="fail", exit_code="3", message=json.dumps(told))
    data = at.update()
    context = at.begin(data, 3)
    assert "no longer there" in await refused(at, data, context, Reason.IMPORT_ERRORS)
    pod = (await at.seen(DEPLOYMENT, "airflow-scheduler"))["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "apache/airflow:3.3.1"
    assert len(await at.cluster.list(JOB, namespace=at.name, labels={keys.VERSION: newest.version})) == 0


async def test_airflows_of_a_stack_read_what_the_cluster_says(at: World, tmp_path: Path) -> None:
    shop = await at.project()
    async with (
        play_airflows(tmp_path / "kubeconfig", tmp_path / "airflow.log") as stack,
        DirectRoute(stack.url) as route,
    ):
        airflows = RestAirflows(route, AirflowApiConfig(), metrics=Metrics(), runtime=system_runtime())
        at.control.ports[Airflows] = airflows
        await at.run(at.create())
        data = at.deploy(shop.deployment())
        context = at.begin(data, 2)
        while (error := await attempt(at, data, context)) is not None:
            assert isinstance(error, NotReady), error
        address = AirflowAddress(at.name, f"/environments/{at.name}/airflow", await jwt_secret(at))
        found = await airflows.of(address).dags(bundle="shop")
    assert [dag.dag_id for dag in found] == ["shop"]


async def test_the_end_waits_for_tasks_that_run_and_not_for_ever(at: World, airflow: EmbeddedAirflow) -> None:
    await at.run(at.create())
    slow = DagFile(filename="slow.py", dags=(DagSpec(dag_id="slow", tasks=(Task(task_id="waits", seconds=600),)),))
    await read(at, airflow, shop=slow)
    address = AirflowAddress(at.name, f"/environments/{at.name}/airflow", await jwt_secret(at))
    asked = cast("Airflows", at.control.ports[Airflows]).of(address)
    data = at.delete()
    context = at.begin(data, 2)
    await asked.set_paused(["slow"], False, fence=context.fence)
    await asked.trigger("slow", "by-hand", fence=context.fence)
    error = await attempt(at, data, context)
    assert isinstance(error, NotReady)
    assert error.message == "1 tasks have not ended yet: slow.waits of run by-hand"
    assert [dag.is_paused for dag in await asked.dags()] == [True]
    assert await at.namespace() is not None
    await ends_at_once(at, data, context)


async def test_an_airflow_that_does_not_answer_does_not_keep_its_environment(
    at: World, airflow: EmbeddedAirflow
) -> None:
    await at.run(at.create())
    data = at.delete()
    context = at.begin(data, 2)
    error = await attempt(at, data, context)
    assert isinstance(error, NotReady)
    assert error.message.startswith("the DAGs are not paused yet: ")
    await ends_at_once(at, data, context)


async def ends_at_once(at: World, data: EventData, context: HandlerContext) -> None:
    """The time for the end is over, and the environment goes."""
    context.ports = {**context.ports, AirflowDefaults: AirflowDefaults(patience=Patience(drain_s=0))}
    while (error := await attempt(at, data, context)) is not None:
        assert isinstance(error, NotReady), error
    assert await at.namespace() is None
