"""The database of an environment's Airflow, where the installation has a server for it outside the cluster."""

from agentd.core import Context
from agentd.platform import AirflowDefaults, Databases, DatabaseSpec
from agentd.platform.airflow_defaults import ExternalDatabase
from handlers.manifests.airflow import AirflowInstance


async def ensure_database(ctx: Context, instance: AirflowInstance) -> None:
    """The database and the role that owns it; nothing where the database is in the cluster."""
    spec = _spec(ctx, instance.environment.name)
    if spec is not None:
        await ctx.port(Databases).ensure(spec, instance.keys.database_password, fence=ctx.fence)


async def delete_database(ctx: Context, name: str) -> None:
    """Delete both, with all that Airflow has noted in them. In the cluster the database goes with the namespace."""
    spec = _spec(ctx, name)
    if spec is not None:
        await ctx.port(Databases).delete(spec, fence=ctx.fence)


def _spec(ctx: Context, name: str) -> DatabaseSpec | None:
    found = ctx.port(AirflowDefaults).database
    if not isinstance(found, ExternalDatabase) or not ctx.has_port(Databases):
        return None
    return DatabaseSpec(database=found.database(name), role=found.role(name))
