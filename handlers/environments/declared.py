"""The events of environments. What is desired is brought about whole, whichever event asks: events may come late."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agentd.core import Context, handler
from agentd.events import (
    PROJECTS,
    EnvironmentCreate,
    EnvironmentDelete,
    EnvironmentDeploy,
    EnvironmentHibernate,
    EnvironmentReconcile,
    EnvironmentUnlock,
    EnvironmentUpdate,
    EnvironmentWake,
)
from handlers.environments import desired, guard, projects, removal, rights
from handlers.environments.airflow import STEPS, bring_about, remove_others
from handlers.environments.applying import apply_environment, delete_identity, remove_leftovers, with_identity
from handlers.environments.checking import check_new
from handlers.environments.database import delete_database
from handlers.environments.draining import drain, pause
from handlers.environments.instances import check_room, find
from handlers.environments.power import set_power
from handlers.environments.project_checks import check_projects
from handlers.environments.proof import Failure
from handlers.environments.steps import afresh
from handlers.environments.switching import Switch, restore, switch
from handlers.environments.unlocking import break_lock
from handlers.manifests.airflow import AirflowInstance, Stages, stages
from handlers.manifests.projects import DeployedProject

_CHECK = "check environment"
_CHECK_PROJECTS = "check projects"
_IDENTITY = "ensure identity"
_APPLY = "apply environment"
_ACCOUNTS = "apply projects' accounts"
_CHECK_BUILDS = "check builds"
_MARK = "mark images"
_BEGIN = "begin to switch"
_SWITCH = "switch builds"
_RESTORE = "restore builds"
_RECORD = "record projects"
_UNDEPLOY = "undeploy projects"
_POWER = "set power"
_LEFTOVERS = "remove leftovers"
_DELETE_IDENTITY = "delete identity"
_DELETE_NAMESPACE = "delete namespace"
_DELETE_DATABASE = "delete database"
_BREAK_LOCK = "break lock"
_BEGIN_END = "begin the end"
_PAUSE = "pause DAGs"
_DRAIN = "drain runs"

_RECONCILE = (_CHECK, _IDENTITY, _APPLY, _CHECK_BUILDS, *STEPS, _POWER, _LEFTOVERS)


@handler(EnvironmentCreate, steps=_RECONCILE, timeout_s=300, permissions=rights.reconcile())
async def create(ctx: Context, data: EnvironmentCreate) -> None:
    """Create the environment's namespace with limits, network policies, access and settings, and its Airflow in it."""
    await _reconcile(ctx, data.environment_name)


@handler(EnvironmentUpdate, steps=_RECONCILE, timeout_s=300, permissions=rights.reconcile())
async def update(ctx: Context, data: EnvironmentUpdate) -> None:
    """Bring the environment to its new spec, and remove what the old one had more."""
    await _reconcile(ctx, data.environment_name)


@handler(EnvironmentHibernate, steps=_RECONCILE, timeout_s=300, permissions=rights.reconcile())
async def hibernate(ctx: Context, data: EnvironmentHibernate) -> None:
    """Stop every workload, and remember how many replicas each had."""
    await _reconcile(ctx, data.environment_name)


@handler(EnvironmentWake, steps=_RECONCILE, timeout_s=300, permissions=rights.reconcile())
async def wake(ctx: Context, data: EnvironmentWake) -> None:
    """Start every workload again with as many replicas as it had."""
    await _reconcile(ctx, data.environment_name)


@handler(
    EnvironmentDeploy,
    steps=(
        _CHECK,
        _CHECK_PROJECTS,
        _IDENTITY,
        _APPLY,
        _CHECK_BUILDS,
        _ACCOUNTS,
        *STEPS,
        _MARK,
        _BEGIN,
        _SWITCH,
        _RESTORE,
        _RECORD,
        _UNDEPLOY,
        _POWER,
        _LEFTOVERS,
    ),
    timeout_s=600,
    permissions=rights.deploy(),
)
async def deploy(ctx: Context, data: EnvironmentDeploy) -> None:
    """Bring the environment and every project in it to what is desired; all are checked before anything is written.

    New builds are read by their Airflow before anything that runs is touched, and must live before they count as deployed;
    otherwise those that were live come back, and the event fails with why.
    """
    name = data.environment_name
    checked = await _checked(ctx, name)
    wanted = await afresh(ctx, _CHECK_PROJECTS, lambda: _checked_projects(ctx, checked.instance))
    instance = await _with_identity(ctx, checked.instance)
    environment, found = instance.environment, Switch(instance, checked.live, wanted)
    await ctx.step(_APPLY, lambda: apply_environment(ctx, environment))
    dags = await ctx.step(_CHECK_BUILDS, lambda: check_new(ctx, instance, wanted, new=bool(found.new)))
    await ctx.step(_ACCOUNTS, lambda: projects.apply_accounts(ctx, environment, wanted))
    await bring_about(ctx, instance, stages(instance, checked.live))
    await ctx.step(_MARK, lambda: projects.mark_images(ctx, name, wanted))
    await _switch(ctx, found, dags)
    await ctx.step(_RECORD, lambda: projects.record_projects(ctx, environment, wanted))
    await ctx.step(_UNDEPLOY, lambda: projects.undeploy(ctx, environment, wanted))
    await _settle(ctx, instance, stages(instance, wanted))


async def _switch(ctx: Context, found: Switch, dags: Mapping[str, int]) -> None:
    """What came of it is kept, so that an attempt after a crash goes on in the same direction."""
    since = await ctx.step(_BEGIN, lambda: _now(ctx))
    failure = Failure.of(await ctx.step(_SWITCH, lambda: switch(ctx, found, dags, since)))
    if failure is not None:
        await ctx.step(_RESTORE, lambda: restore(ctx, found, failure))


@handler(EnvironmentReconcile, steps=deploy.steps, timeout_s=deploy.timeout_s, permissions=deploy.permissions)
async def reconcile(ctx: Context, data: EnvironmentReconcile) -> None:
    """Bring the environment, and the projects in it once any have been deployed, to what is desired already."""
    asked = update if ctx.desired(PROJECTS) is None else deploy
    await asked.run(ctx, data)


@handler(EnvironmentUnlock, steps=(_BREAK_LOCK,), timeout_s=60, permissions=rights.unlock())
async def unlock(ctx: Context, data: EnvironmentUnlock) -> None:
    """Break the environment's lock, unless its holder is alive."""
    await ctx.step(_BREAK_LOCK, lambda: break_lock(ctx, data.environment_name))


@handler(
    EnvironmentDelete,
    steps=(_CHECK, _BEGIN_END, _PAUSE, _DRAIN, _UNDEPLOY, _DELETE_IDENTITY, _DELETE_NAMESPACE, _DELETE_DATABASE),
    timeout_s=900,
    permissions=rights.remove(),
)
async def delete(ctx: Context, data: EnvironmentDelete) -> None:
    """Let what runs end, undeploy everything, then delete the identity and the namespace. One that was never there is success."""
    name = data.environment_name
    await afresh(ctx, _CHECK, lambda: removal.may_delete(ctx, name))
    since = await ctx.step(_BEGIN_END, lambda: _now(ctx))
    await ctx.step(_PAUSE, lambda: pause(ctx, name, since))
    await ctx.step(_DRAIN, lambda: drain(ctx, name, since))
    # In every attempt: a registry or IAM may have shown late what was made just before.
    await afresh(ctx, _UNDEPLOY, lambda: projects.unmark_images(ctx, name, keep=set()))
    await afresh(ctx, _DELETE_IDENTITY, lambda: delete_identity(ctx, name))
    await ctx.step(_DELETE_NAMESPACE, lambda: removal.delete_namespace(ctx, name))
    await ctx.step(_DELETE_DATABASE, lambda: delete_database(ctx, name))


async def _now(ctx: Context) -> float:
    """Kept by a step, it is when its first attempt was."""
    return ctx.now()


@dataclass(frozen=True, slots=True)
class _Checked:
    """The Airflow that is wanted, and the projects that are live in it."""

    instance: AirflowInstance
    live: Sequence[DeployedProject]


async def _reconcile(ctx: Context, name: str) -> None:
    """With the builds that are live: only a deploy changes them, and only when it is through."""
    checked = await _checked(ctx, name)
    instance = await _with_identity(ctx, checked.instance)
    airflow = stages(instance, checked.live)
    await ctx.step(_APPLY, lambda: apply_environment(ctx, instance.environment))
    await ctx.step(_CHECK_BUILDS, lambda: check_new(ctx, instance, checked.live, new=False))
    await bring_about(ctx, instance, airflow)
    await _settle(ctx, instance, airflow)


async def _checked(ctx: Context, name: str) -> _Checked:
    """What is wanted, once it may be brought about."""

    async def check() -> _Checked:
        environment = desired.environment(ctx, name)
        await guard.may_change(ctx, name)
        checked = _Checked(await find(ctx, environment), await projects.live(ctx, name))
        check_room(checked.instance, checked.live)
        return checked

    return await afresh(ctx, _CHECK, check)


async def _checked_projects(ctx: Context, instance: AirflowInstance) -> list[DeployedProject]:
    wanted = await check_projects(ctx, instance.environment)
    check_room(instance, wanted)
    return wanted


async def _with_identity(ctx: Context, instance: AirflowInstance) -> AirflowInstance:
    environment = await afresh(ctx, _IDENTITY, lambda: with_identity(ctx, instance.environment))
    return replace(instance, environment=environment)


async def _settle(ctx: Context, instance: AirflowInstance, airflow: Stages) -> None:
    async def remove() -> None:
        gone = [*await remove_leftovers(ctx, instance.environment), *await remove_others(ctx, instance, airflow)]
        ctx.progress(f"{len(gone)} objects removed")

    await ctx.step(_POWER, lambda: set_power(ctx, instance.environment))
    await ctx.step(_LEFTOVERS, remove)
