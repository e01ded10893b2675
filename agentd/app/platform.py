"""The adapters behind the ports, as the settings choose them. Nothing is asked of a provider before it is needed."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from agentd.bus.sqs_calls import new_session
from agentd.core import ArtifactStore, PermanentError, Reason, Runtime
from agentd.platform import (
    AirflowDefaults,
    Airflows,
    Cluster,
    ClusterDefaults,
    Databases,
    Identities,
    ImageRegistry,
    RepositoryDefaults,
)
from agentd.platform.airflow_rest import DirectRoute, RestAirflows
from agentd.platform.aws.artifacts import S3Artifacts
from agentd.platform.aws.ecr import EcrRegistry
from agentd.platform.aws.iam import IamIdentities
from agentd.platform.aws.session import AwsSession
from agentd.platform.local.artifacts import FileArtifacts
from agentd.platform.local.identities import NoIdentities
from agentd.platform.routes import Route
from agentd.settings import Settings
from agentd.telemetry import Metrics

if TYPE_CHECKING:
    from agentd.platform.kubernetes import Connection


@dataclass(frozen=True, slots=True)
class Platform:
    """Everything that the agent acts on. `ports` are the adapters by their port; without a cluster there is none for it."""

    ports: Mapping[type, object]
    cluster: Cluster | None
    artifacts: ArtifactStore | None


async def open_platform(stack: AsyncExitStack, settings: Settings, runtime: Runtime, metrics: Metrics) -> Platform:
    """The adapters, until the stack closes. Raises PermanentError."""
    session = await stack.enter_async_context(AwsSession(settings.aws, new_session(settings.aws.profile)))
    ports: dict[type, object] = {
        ImageRegistry: await open_registry(session, settings, runtime, metrics),
        RepositoryDefaults: settings.registry.defaults(),
    }
    cluster = None
    connection = await open_connection(stack, session, settings, runtime, metrics)
    if connection is not None:
        ports[Cluster] = cluster = new_cluster(connection, settings, runtime, metrics)
        ports[Airflows] = await open_airflows(stack, connection, settings, runtime, metrics)
        ports[ClusterDefaults] = settings.cluster.defaults(tenant_id=settings.tenant_id)
        ports[AirflowDefaults] = settings.airflow.defaults()
        if settings.airflow.database.place == "external":
            ports[Databases] = open_databases(settings, runtime, metrics)
        ports[Identities] = await open_identities(session, settings, runtime, metrics)
    return Platform(ports, cluster, await artifact_store(settings, session, metrics, runtime))


async def open_registry(session: AwsSession, settings: Settings, runtime: Runtime, metrics: Metrics) -> ImageRegistry:
    """The image registry."""
    return EcrRegistry(
        reads=await session.ecr(retries=True),
        writes=await session.ecr(retries=False),
        config=settings.registry,
        owner_id=settings.owner_id,
        metrics=metrics,
        runtime=runtime,
    )


async def open_cluster(
    stack: AsyncExitStack, session: AwsSession, settings: Settings, runtime: Runtime, metrics: Metrics
) -> Cluster | None:
    """The cluster, until the stack closes; None when this installation has none."""
    connection = await open_connection(stack, session, settings, runtime, metrics)
    return None if connection is None else new_cluster(connection, settings, runtime, metrics)


async def open_connection(
    stack: AsyncExitStack, session: AwsSession, settings: Settings, runtime: Runtime, metrics: Metrics
) -> "Connection | None":
    """The way to the cluster, until the stack closes; None when this installation has none."""
    config = settings.cluster
    if config.access == "none":
        return None
    # The client library is large: installations without a cluster, and commands that need none, do without. It takes a
    # second to load, and the event loop has probes to answer.
    await asyncio.to_thread(import_module, "agentd.platform.kubernetes")
    from agentd.platform.kubernetes import Connection, choose_access

    access = choose_access(config, session, metrics=metrics, runtime=runtime)
    return await stack.enter_async_context(Connection(access, runtime))


def new_cluster(connection: "Connection", settings: Settings, runtime: Runtime, metrics: Metrics) -> Cluster:
    """The cluster over this connection."""
    from agentd.platform.kubernetes import KubernetesCluster

    return KubernetesCluster(connection, settings.cluster, metrics=metrics, runtime=runtime)


async def open_airflows(
    stack: AsyncExitStack, connection: "Connection", settings: Settings, runtime: Runtime, metrics: Metrics
) -> Airflows:
    """The Airflows of the cluster's environments, until the stack closes."""
    from agentd.platform.kubernetes import ServiceProxyRoute

    config = settings.airflow.api
    route: Route = ServiceProxyRoute(connection)
    if config.route == "service":
        route = await stack.enter_async_context(DirectRoute(config.url))
    return RestAirflows(route, config, metrics=metrics, runtime=runtime)


def open_databases(settings: Settings, runtime: Runtime, metrics: Metrics) -> Databases:
    """The server of the environments' databases. Raises PermanentError when its client is not installed."""
    try:
        from agentd.platform.postgresql import PostgresDatabases
    except ModuleNotFoundError as error:
        raise PermanentError(
            Reason.INVALID_REQUEST,
            f"airflow.database.place external needs {error.name}: install agentd[external-database]",
        ) from error
    return PostgresDatabases(settings.airflow.database, metrics=metrics, runtime=runtime)


async def open_identities(session: AwsSession, settings: Settings, runtime: Runtime, metrics: Metrics) -> Identities:
    """What gives workloads of the cluster an identity."""
    if settings.identities.provider == "none":
        return NoIdentities()
    return IamIdentities(
        reads=await session.iam(retries=True),
        writes=await session.iam(retries=False),
        config=settings.identities,
        owner_id=settings.owner_id,
        metrics=metrics,
        runtime=runtime,
    )


async def artifact_store(
    settings: Settings, session: AwsSession, metrics: Metrics, runtime: Runtime
) -> ArtifactStore | None:
    """The store for claim checks that the settings name, if any."""
    config = settings.artifacts
    if config.bucket is not None:
        return S3Artifacts(
            await session.s3(),
            bucket=config.bucket,
            prefix=config.prefix,
            timeout_s=config.transfer_timeout_s,
            metrics=metrics,
            runtime=runtime,
        )
    if config.directory is not None:
        return FileArtifacts(config.directory, timeout_s=config.transfer_timeout_s)
    return None
