"""What the scheduler makes a worker's pod of."""

import json
from collections.abc import Sequence

from agentd.platform import Manifest
from agentd.platform.airflow_defaults import AirflowComponent
from handlers.manifests.access import WORKER
from handlers.manifests.airflow import bundles, variables
from handlers.manifests.airflow.instance import AirflowInstance
from handlers.manifests.airflow.pods import Part, container, pod
from handlers.manifests.kinds import CONFIG_MAP
from handlers.manifests.projects import DeployedProject

NAME = "airflow-worker"

# Which container is the worker's: the executor looks for it by this name.
_CONTAINER = "base"


def template(instance: AirflowInstance, projects: Sequence[DeployedProject]) -> Manifest:
    """A ConfigMap with the template of workers' pods. Read for every pod, so that a deploy leaves the scheduler alone.

    The template holds every project's bundle; `delivered/airflow_local_settings.py` keeps the task's own one, and makes the
    pod its project.
    """
    text = json.dumps(worker(instance, projects), sort_keys=True, separators=(",", ":"))
    return instance.object(CONFIG_MAP, NAME, data={variables.TEMPLATE: text})


def worker(instance: AirflowInstance, projects: Sequence[DeployedProject]) -> Part:
    """The template itself: without a token, a key, or a way to the database."""
    base = container(
        instance,
        AirflowComponent.WORKER,
        name=_CONTAINER,
        env=variables.worker(instance, projects),
        mounts=bundles.mounts(projects),
    )
    template = pod(
        instance,
        AirflowComponent.WORKER,
        [base],
        account=WORKER,
        init=bundles.copies(instance, projects),
        volumes=bundles.volumes(instance, projects),
        restartPolicy="Never",
    )
    return {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {**template["metadata"], "name": NAME}}
