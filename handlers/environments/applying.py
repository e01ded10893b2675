"""What follows from an environment's spec: its identity in the cloud, its namespace, and everything in it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from agentd.core import Context
from agentd.platform import Cluster, Identities, IdentitySpec, ObjectRef, keys
from handlers import manifests
from handlers.environments.steps import apply_all
from handlers.environments.trust import check_trust
from handlers.manifests import Environment
from handlers.manifests.access import PROCESSES
from handlers.manifests.labels import ENVIRONMENT


async def with_identity(ctx: Context, environment: Environment) -> Environment:
    """The environment with what its service accounts carry: the identity that the spec names, else one of its own."""
    if not ctx.has_port(Identities):
        return environment
    identities = ctx.port(Identities)
    given = environment.spec.iam_identity
    accounts = tuple((environment.name, account) for account in PROCESSES)
    if given is not None:
        await check_trust(ctx, given, accounts)
        return replace(environment, identity=identities.annotations(given))
    made = await identities.ensure(
        IdentitySpec(
            name=identity_name(environment.name),
            service_accounts=accounts,
            description=f"Airflow in environment {environment.name}",
        ),
        fence=ctx.fence,
    )
    annotations: Mapping[str, str] = {} if made is None else identities.annotations(made.id)
    return replace(environment, identity=annotations)


async def apply_environment(ctx: Context, environment: Environment) -> dict[str, int]:
    """The namespace, then everything in it, in its order: the API server refuses the binding of a role that is not there."""
    await ctx.port(Cluster).apply(manifests.namespace(environment), fence=ctx.fence)
    return await apply_all(ctx, manifests.inside(environment), in_order=True)


async def remove_leftovers(ctx: Context, environment: Environment) -> Sequence[ObjectRef]:
    """Delete what followed from an older spec, or was made by a holder that came late; what that was."""
    keep = [ObjectRef.of(manifest) for manifest in manifests.inside(environment)]
    gone = await ctx.port(Cluster).prune(
        manifests.INSIDE,
        namespace=environment.name,
        labels={keys.ENVIRONMENT_ID: ctx.subject.uuid, keys.COMPONENT: ENVIRONMENT},
        keep=keep,
        fence=ctx.fence,
    )
    if environment.spec.iam_identity is not None:
        await delete_identity(ctx, environment.name)
    return gone


async def delete_identity(ctx: Context, name: str) -> None:
    """Delete the identity that the agent has made for the environment, if it makes any."""
    if ctx.has_port(Identities):
        await ctx.port(Identities).delete(identity_name(name), fence=ctx.fence)


def identity_name(environment_name: str) -> str:
    """The name of the identity that the agent makes for an environment."""
    return f"environment-{environment_name}"
