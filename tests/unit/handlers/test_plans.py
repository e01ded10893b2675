"""Whole handlers planned: what a plan holds is what the event then writes, object by object, and a plan writes nothing."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from agentd.core import Action, AgentError, NotReady, Plan, PlannedChange
from agentd.events import (
    BuildCleanup,
    EventData,
    PackageCreate,
    PackageDelete,
    ProjectConfigure,
    ProjectCreate,
    ProjectDelete,
    Quotas,
    Retention,
)
from agentd.platform import Identities, keys
from agentd.platform.aws.session import AwsSession
from handlers.manifests.kinds import DEPLOYMENT, STATEFUL_SET
from tests.conformance.identities.support import bench as iam_bench
from tests.unit.handlers.world import Project, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

# More of them are for the slow suite.
SEEDS = [*range(2), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 10))]
STEPS = 14


@dataclass
class Account:
    """An installation with IAM roles, and what has happened in it."""

    at: World
    role: str
    """What fences call the environment's role."""
    generation: int = 0
    projects: list[Project] = field(default_factory=list)

    async def plan(self, data: EventData) -> Plan:
        """What the event would change; whoever plans writes nothing."""
        await self.at.writes()
        try:
            return await self.at.plan(data, self.generation + 1)
        finally:
            assert await self.at.writes() == Counter(), "a plan has written"

    async def carry_out(self, data: EventData) -> set[str]:
        """The objects that the event has written, stamps aside; deferrals are waited out."""
        self.generation += 1
        context = self.at.begin(data, self.generation)
        for left in reversed(range(10)):
            try:
                await self.at.resume(data, context)
            except NotReady:
                if context.fence.destroyed and left:
                    continue
                raise
            break
        return {obj for obj, stamp in context.fence.asked if not stamp}

    async def planned_and_done(self, data: EventData) -> list[PlannedChange]:
        """Plan an event, carry it out, and plan it again: the same objects, and then none. The plan's changes."""
        refused: AgentError | None = None
        try:
            plan = await self.plan(data)
        except AgentError as error:
            refused = error
        if refused is not None:
            with pytest.raises(type(refused)) as caught:
                await self.carry_out(data)
            assert _words(caught.value) == _words(refused)
            return []
        written = await self.carry_out(data)
        assert {change.obj for change in plan} == written, data
        assert list(await self.plan(data)) == []
        return list(plan)


def _words(error: AgentError) -> tuple[str, str]:
    """What is the same of an error whether it was planned or met."""
    return str(error.reason), error.message.partition(":")[0]


@pytest_asyncio.fixture(loop_scope="module")
async def account(at: World, session: AwsSession) -> AsyncIterator[Account]:
    async with iam_bench(session, owner_id=at.registry.owner_id) as iam:
        at.control.ports[Identities] = iam.identities
        yield Account(at, iam.identities.object_name(f"environment-{at.name}"))


def by_object(changes: list[PlannedChange]) -> dict[str, PlannedChange]:
    return {change.obj: change for change in changes}


def fields(change: PlannedChange) -> dict[str, tuple[object, object]]:
    return {found.path: (found.before, found.after) for found in change.fields}


async def test_a_create_is_told_with_everything_in_the_namespace_to_come(account: Account) -> None:
    at = account.at
    changes = by_object(await account.planned_and_done(at.create(description="For the shop")))
    assert {change.action for change in changes.values()} == {Action.CREATE}
    namespace = fields(changes[f"kubernetes:namespace/{at.name}"])
    assert namespace[f'metadata.annotations["{keys.DESCRIPTION}"]'] == (None, "For the shop")
    assert not any(keys.GENERATION in path or keys.EVENT_ID in path for path in namespace)
    assert fields(changes[account.role])["trust"] == (
        None,
        [f"{at.name}/{account}" for account in ("airflow", "airflow-api-server", "airflow-scheduler")],
    )


async def test_an_update_is_told_field_by_field(account: Account) -> None:
    at = account.at
    await account.planned_and_done(at.create())
    changes = await account.planned_and_done(at.update(description="Another"))
    assert [(change.obj, change.action, fields(change)) for change in changes if "namespace/" in change.obj] == [
        (
            f"kubernetes:namespace/{at.name}",
            Action.CHANGE,
            {f'metadata.annotations["{keys.DESCRIPTION}"]': (None, "Another")},
        )
    ]
    changes = await account.planned_and_done(at.update())
    assert {(found.before, found.after) for change in changes for found in change.fields} == {("Another", None)}


async def test_what_others_have_changed_is_told_as_it_is_now(account: Account) -> None:
    at = account.at
    await account.planned_and_done(at.create())
    path = f"/api/v1/namespaces/{at.name}/resourcequotas"
    quota = (await at.hands.call("GET", path))["items"][0]
    (key, value), *_ = quota["spec"]["hard"].items()
    await at.hands.patch(f"{path}/{quota['metadata']['name']}", {"spec": {"hard": {key: "1"}}})
    changes = await account.planned_and_done(at.update())
    told = differences_of(changes, "resourcequota")
    assert list(told.values()) == [("1", value)]


def differences_of(changes: list[PlannedChange], kind: str) -> dict[str, tuple[object, object]]:
    return {path: values for change in changes if f"/{kind}/" in change.obj for path, values in fields(change).items()}


async def test_a_deploy_moves_marks_and_makes_records(account: Account) -> None:
    at = account.at
    await account.planned_and_done(at.create())
    shop = await at.project("shop", builds=2)
    first, second = shop.builds
    changes = by_object(await account.planned_and_done(at.deploy(shop.deployment(first))))
    mark = f"ecr:image/{at.registry.name('shop')}@"
    assert fields(changes[mark + shop.builds[first]]) == {"deployed_to": ([], [at.name])}
    changes = by_object(await account.planned_and_done(at.deploy(shop.deployment(second))))
    assert fields(changes[mark + shop.builds[first]]) == {"deployed_to": ([at.name], [])}
    assert fields(changes[mark + shop.builds[second]]) == {"deployed_to": ([], [at.name])}
    changes = by_object(await account.planned_and_done(at.deploy()))
    assert changes[f"kubernetes:{at.name}/configmap/project-shop"].action is Action.DELETE


async def test_a_delete_tells_the_namespace_and_what_is_deleted_beside_it(account: Account) -> None:
    at = account.at
    await account.planned_and_done(at.create())
    shop = await at.project("shop")
    await account.planned_and_done(at.deploy(shop.deployment()))
    changes = await account.planned_and_done(at.delete())
    assert {change.obj: change.action for change in changes} == {
        f"kubernetes:namespace/{at.name}": Action.DELETE,
        account.role: Action.DELETE,
        f"ecr:image/{at.registry.name('shop')}@{next(iter(shop.builds.values()))}": Action.CHANGE,
    }


async def workloads(at: World) -> None:
    """Workloads of the agent's own, as an environment will have them."""
    namespace = await at.namespace()
    if namespace is None:
        return
    labels = {key: text for key, text in namespace["metadata"]["labels"].items() if key.startswith(keys.PREFIX)}
    labels[keys.MANAGED_BY] = namespace["metadata"]["labels"][keys.MANAGED_BY]
    for kind, name, replicas in ((DEPLOYMENT, "web", 2), (STATEFUL_SET, "db", 1), (DEPLOYMENT, "idle", 0)):
        spec: dict[str, Any] = {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [CONTAINER]}},
        }
        if kind == STATEFUL_SET:
            spec["serviceName"] = name
        manifest = {
            "apiVersion": kind.api_version,
            "kind": kind.name,
            "metadata": {"name": name, "namespace": at.name, "labels": labels},
            "spec": spec,
        }
        plural = f"/apis/apps/v1/namespaces/{at.name}/{kind.name.lower()}s"
        if await at.hands.get(f"{plural}/{name}") is None:
            await at.hands.call("POST", plural, manifest)


CONTAINER = {
    "name": "main",
    "image": "example/web:1",
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
}


async def test_hibernation_is_told_by_replicas(account: Account) -> None:
    at = account.at
    await account.planned_and_done(at.create())
    await workloads(at)
    remembers = f'metadata.annotations["{keys.REPLICAS}"]'
    asleep = by_object(await account.planned_and_done(at.hibernate()))
    assert fields(asleep[f"kubernetes:{at.name}/deployment/web"]) == {"spec.replicas": (2, 0), remembers: (None, "2")}
    assert f"kubernetes:{at.name}/deployment/idle" not in asleep
    awake = by_object(await account.planned_and_done(at.wake()))
    assert fields(awake[f"kubernetes:{at.name}/deployment/web"]) == {"spec.replicas": (0, 2), remembers: ("2", None)}


async def test_a_lock_that_is_broken_is_told_as_one_change(account: Account) -> None:
    at = account.at
    await account.planned_and_done(at.create())
    path = f"/apis/coordination.k8s.io/v1/namespaces/{at.name}/leases/conveyor-environment"
    held = {"holderIdentity": "migration", "leaseDurationSeconds": 1, "renewTime": "2024-01-01T00:00:00.000000Z"}
    await at.hands.patch(path, {"spec": held})
    (change,) = await account.planned_and_done(at.unlock())
    assert change.action is Action.CHANGE
    assert fields(change)["spec.holderIdentity"] == ("migration", None)


async def test_a_project_from_its_creation_to_its_end(account: Account) -> None:
    at = account.at
    project = Project(str(uuid4()), "shop")
    named: dict[str, Any] = {"project_id": project.id, "project_name": project.name}
    repository = f"ecr:repository/{at.registry.name('shop')}"
    created = by_object(await account.planned_and_done(ProjectCreate(**named)))
    assert created[repository].action is Action.CREATE
    assert fields(created[repository])["lifecycle.untagged_days"] == (None, 7)
    (configured,) = await account.planned_and_done(ProjectConfigure(**named, settings={"team": "orders"}))
    assert fields(configured) == {'data["settings.json"]': ("{}", '{"team":"orders"}')}
    await at.push(project)
    assert await account.planned_and_done(ProjectDelete(**named)) == [], "it still holds images"
    retained = by_object(await account.planned_and_done(ProjectDelete(**named, retention=Retention.RETAIN)))
    assert fields(retained[repository]) == {"retained": (False, True)}
    taken_up = by_object(await account.planned_and_done(ProjectCreate(**named)))
    assert fields(taken_up[repository]) == {"retained": (True, False)}
    deleted = await account.planned_and_done(ProjectDelete(**named, force=True))
    assert {change.action for change in deleted} == {Action.DELETE}


# -- any order of events -----------------------------------------------------------------------------------------------


def _spec(random: Random) -> dict[str, Any]:
    """Some spec."""
    spec: dict[str, Any] = {}
    if random.random() < 0.4:
        spec["description"] = random.choice(("One", "Another"))
    if random.random() < 0.3:
        spec["quotas"] = Quotas(cpu=random.choice(("4", "8")))
    if random.random() < 0.2:
        spec["iam_identity"] = "airflow-dev"
    if random.random() < 0.15:
        spec["deletion_protection"] = True
    return spec


def _environment_event(random: Random, account: Account) -> EventData:
    at = account.at
    chosen = [project.deployment(random.choice(list(project.builds))) for project in account.projects]
    some = random.sample(chosen, random.randint(0, len(chosen)))
    return random.choice(
        (
            at.create(**_spec(random)),
            at.update(**_spec(random)),
            at.deploy(*some, **_spec(random)),
            at.deploy(*some, **_spec(random)),
            at.hibernate(),
            at.wake(),
            at.unlock(),
            at.delete(),
        )
    )


def _registry_event(random: Random, account: Account) -> EventData:
    project = random.choice(account.projects)
    named: dict[str, Any] = {"project_id": project.id, "project_name": project.name}
    package: dict[str, Any] = {"package_id": str(uuid4()), "package_name": "tools"}
    return random.choice(
        (
            ProjectCreate(**named),
            ProjectConfigure(**named, settings={"team": random.choice(("a", "b"))}),
            ProjectDelete(**named, retention=random.choice(list(Retention)), force=random.random() < 0.5),
            BuildCleanup(build_id=random.choice(list(project.builds)), **named),
            PackageCreate(**package),
            PackageDelete(**package),
        )
    )


async def _disturb(random: Random, at: World) -> None:
    """Somebody else is at work in the cluster and in the registry."""
    root = f"/api/v1/namespaces/{at.name}"
    if await at.namespace() is None:
        return
    chosen = random.randrange(4)
    if chosen == 0:
        await workloads(at)
    elif chosen == 1:
        await at.hands.patch(root, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}})
    elif chosen == 2 and await at.hands.get(f"{root}/serviceaccounts/airflow") is not None:
        await at.hands.delete(f"{root}/serviceaccounts/airflow")
    elif chosen == 3 and await at.hands.get(f"{root}/serviceaccounts/airflow") is not None:
        await at.hands.patch(f"{root}/serviceaccounts/airflow", {"metadata": {"annotations": {"by": "hand"}}})


@pytest.mark.parametrize("seed", SEEDS)
async def test_in_whatever_order_events_come(account: Account, seed: int) -> None:
    random = Random(seed)
    at = account.at
    account.projects = [await at.project(name, builds=2) for name in ("shop", "orders")]
    account.generation = 1
    done: Counter[Action] = Counter()
    await account.planned_and_done(at.create())
    for _ in range(STEPS):
        if random.random() < 0.4:
            await _disturb(random, at)
        if await at.namespace() is None and random.random() < 0.7:
            data: EventData = at.create(**_spec(random))
        else:
            data = (_environment_event if random.random() < 0.7 else _registry_event)(random, account)
        done.update(change.action for change in await account.planned_and_done(data))
    assert done.total() > STEPS, "too little has happened to prove anything"
