"""The Airflows of the stack's environments: one server plays them all. What each is, the cluster's own objects say."""

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from agentd.core import AwsConfig, system_runtime
from agentd.embedded.airflow import DagFile, DagSpec, EmbeddedAirflow, Setup
from agentd.platform import Cluster, Manifest, keys
from agentd.platform.airflow_defaults import AirflowComponent
from agentd.platform.aws.session import AwsSession
from agentd.platform.config import ClusterConfig
from agentd.telemetry import Metrics
from handlers.manifests.airflow import keys_ref
from handlers.manifests.airflow.keys import JWT_SECRET
from handlers.manifests.kinds import POD

_DAG_PROCESSOR = {keys.COMPONENT: AirflowComponent.DAG_PROCESSOR.value}
_BUNDLES = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"


@asynccontextmanager
async def play_airflows(kubeconfig: Path, log: Path) -> AsyncIterator[EmbeddedAirflow]:
    """Until the block ends: whenever a DAG processor comes to run, its Airflow has read the bundles of its pod's own list.

    Every bundle has one DAG, of its own name. Nothing is parsed: images of the stack are empty.
    """
    async with EmbeddedAirflow.start(log=log) as airflow, _cluster(kubeconfig) as cluster, asyncio.TaskGroup() as group:
        following = group.create_task(_follow(cluster, airflow), name="play Airflows")
        yield airflow
        following.cancel()


@asynccontextmanager
async def _cluster(kubeconfig: Path) -> AsyncIterator[Cluster]:
    from agentd.platform.kubernetes import Connection, KubernetesCluster, choose_access

    config, metrics, runtime = ClusterConfig(access="kubeconfig", kubeconfig=kubeconfig), Metrics(), system_runtime()
    async with AwsSession(AwsConfig()) as aws:
        access = choose_access(config, aws, metrics=metrics, runtime=runtime)
    async with Connection(access, runtime) as connection:
        yield KubernetesCluster(connection, config, metrics=metrics, runtime=runtime)


async def _follow(cluster: Cluster, airflow: EmbeddedAirflow) -> None:
    """For ever. A pod is told of once."""
    told: set[str] = set()
    async with aclosing(cluster.watch(POD, labels=_DAG_PROCESSOR)) as changes:  # type: ignore[type-var]
        async for change in changes:
            pod = change.manifest
            if pod is None or pod["metadata"]["uid"] in told or not _runs(pod):
                continue
            setup = await _setup(cluster, pod)
            if setup is not None:
                await airflow.be(pod["metadata"]["namespace"], setup)
                told.add(pod["metadata"]["uid"])


def _runs(pod: Manifest) -> bool:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return any("running" in (status.get("state") or {}) for status in statuses)


async def _setup(cluster: Cluster, pod: Manifest) -> Setup | None:
    """None when the environment is on its way out."""
    secret = await cluster.get(keys_ref(pod["metadata"]["namespace"]))
    if secret is None:
        return None
    bundles = {name: (DagFile(filename=f"{name}.py", dags=(DagSpec(dag_id=name),)),) for name in _bundles(pod)}
    return Setup(jwt_secret=b64decode(secret["data"][JWT_SECRET]).decode(), bundles=bundles)


def _bundles(pod: Manifest) -> list[str]:
    variables: Mapping[str, str] = {
        variable["name"]: variable.get("value", "") for variable in pod["spec"]["containers"][0]["env"]
    }
    return [bundle["name"] for bundle in json.loads(variables[_BUNDLES])]
