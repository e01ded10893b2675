"""The four processes of an Airflow, and the way to them."""

from collections.abc import Sequence

from agentd.platform import Manifest
from agentd.platform.airflow import AIRFLOW_PORT, AIRFLOW_SERVICE
from agentd.platform.airflow_defaults import AirflowComponent
from handlers.manifests.access import API_SERVER, SCHEDULER
from handlers.manifests.airflow import bundles, variables
from handlers.manifests.airflow.configuration import DIGEST, digest
from handlers.manifests.airflow.instance import AirflowInstance
from handlers.manifests.airflow.migration import wait_for_schema
from handlers.manifests.airflow.pods import Part, container, pod
from handlers.manifests.airflow.workers import NAME as WORKER_TEMPLATE
from handlers.manifests.kinds import DEPLOYMENT, POD_DISRUPTION_BUDGET, SERVICE
from handlers.manifests.labels import AIRFLOW
from handlers.manifests.projects import DeployedProject

TRIGGERER_LOG_PORT = 8794
_HEALTH_PORT = 8974

# Its watcher of pods does not stop in time: it takes 22 s, every time.
_SCHEDULER_GRACE_S = 60

# A check by `airflow jobs check` costs 2.6 s of CPU: seldom, and with time to spare.
_CHECK_TIMEOUT_S = 30
_CHECK_EVERY_S = 120


def service(instance: AirflowInstance) -> Manifest:
    """Where the proxy and the workers find the API server."""
    ports = [{"name": "http", "port": AIRFLOW_PORT, "targetPort": "http"}]
    selector = instance.pod_labels(AirflowComponent.API_SERVER)
    return instance.object(SERVICE, AIRFLOW_SERVICE, spec={"selector": selector, "ports": ports})


def budgets(instance: AirflowInstance) -> list[Manifest]:
    """Keeps API servers up while nodes are drained. Of what there is only one of, a budget would hold up the drain."""
    if instance.defaults.api_server_replicas == 1:
        return []
    selector = {"matchLabels": instance.pod_labels(AirflowComponent.API_SERVER)}
    spec = {"maxUnavailable": 1, "selector": selector}
    return [instance.object(POD_DISRUPTION_BUDGET, _name(AirflowComponent.API_SERVER), spec=spec)]


def deployments(instance: AirflowInstance, projects: Sequence[DeployedProject]) -> list[Manifest]:
    """The four processes. Only what reads DAGs changes with the projects."""
    return [
        _api_server(instance),
        _scheduler(instance),
        _dag_processor(instance, projects),
        _triggerer(instance),
    ]


def _api_server(instance: AirflowInstance) -> Manifest:
    component = AirflowComponent.API_SERVER
    path = {"httpGet": {"path": f"{instance.prefix}/api/v2/version", "port": "http"}, "timeoutSeconds": 10}
    main = container(
        instance,
        component,
        name=component,
        args=("api-server", "--proxy-headers"),
        env=variables.api_server(instance),
        ports=[{"name": "http", "containerPort": AIRFLOW_PORT}],
        startupProbe={**path, "periodSeconds": 5, "failureThreshold": 48},
        readinessProbe={**path, "periodSeconds": 10},
        livenessProbe={**path, "periodSeconds": 30, "failureThreshold": 4},
    )
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": instance.pod_labels(component)},
    }
    template = pod(
        instance,
        component,
        [main],
        account=API_SERVER,
        token=True,
        init=[wait_for_schema(instance, component)],
        topologySpreadConstraints=[spread],
    )
    return _deployment(instance, component, template, replicas=instance.defaults.api_server_replicas)


def _scheduler(instance: AirflowInstance) -> Manifest:
    component = AirflowComponent.SCHEDULER
    health = {"httpGet": {"path": "/health", "port": "health"}, "timeoutSeconds": 10}
    main = container(
        instance,
        component,
        name=component,
        args=("scheduler",),
        env=variables.scheduler(instance),
        mounts=[{"name": "pod-template", "mountPath": variables.TEMPLATE_PATH, "readOnly": True}],
        ports=[{"name": "health", "containerPort": _HEALTH_PORT}],
        startupProbe={**health, "periodSeconds": 10, "failureThreshold": 24},
        readinessProbe={**health, "periodSeconds": 30},
        livenessProbe={**health, "periodSeconds": 30, "failureThreshold": 5},
    )
    template = pod(
        instance,
        component,
        [main],
        account=SCHEDULER,
        token=True,
        init=[wait_for_schema(instance, component)],
        # A folder, not a file of it: it changes under a scheduler that is running.
        volumes=[{"name": "pod-template", "configMap": {"name": WORKER_TEMPLATE}}],
        grace_s=_SCHEDULER_GRACE_S,
    )
    return _deployment(instance, component, template)


def _dag_processor(instance: AirflowInstance, projects: Sequence[DeployedProject]) -> Manifest:
    component = AirflowComponent.DAG_PROCESSOR
    main = container(
        instance,
        component,
        name=component,
        args=("dag-processor",),
        env=variables.dag_processor(instance, projects),
        mounts=bundles.mounts(projects),
        **_checks("DagProcessorJob"),
    )
    template = pod(
        instance,
        component,
        [main],
        account=AIRFLOW,
        init=[wait_for_schema(instance, component), *bundles.copies(instance, projects)],
        volumes=bundles.volumes(instance, projects),
    )
    # Two with other lists of bundles would undo each other's work.
    return _deployment(instance, component, template, strategy={"type": "Recreate"})


def _triggerer(instance: AirflowInstance) -> Manifest:
    component = AirflowComponent.TRIGGERER
    main = container(
        instance,
        component,
        name=component,
        args=("triggerer",),
        env=variables.triggerer(instance),
        ports=[{"name": "logs", "containerPort": TRIGGERER_LOG_PORT}],
        **_checks("TriggererJob"),
    )
    template = pod(instance, component, [main], account=AIRFLOW, init=[wait_for_schema(instance, component)])
    return _deployment(instance, component, template)


def _checks(job: str) -> Part:
    """Probes of what serves nothing: Airflow says whether this pod's process has given a sign of life to the database."""
    command = ["airflow", "jobs", "check", "--job-type", job, "--local"]
    check = {"exec": {"command": command}, "timeoutSeconds": _CHECK_TIMEOUT_S}
    return {
        "startupProbe": {**check, "periodSeconds": 15, "failureThreshold": 20},
        "livenessProbe": {**check, "periodSeconds": _CHECK_EVERY_S, "failureThreshold": 3},
    }


def _deployment(
    instance: AirflowInstance,
    component: AirflowComponent,
    template: Part,
    *,
    replicas: int = 1,
    strategy: Part | None = None,
) -> Manifest:
    template["metadata"]["annotations"] = {DIGEST: digest(instance)}
    spec = {
        "replicas": instance.replicas(replicas),
        "revisionHistoryLimit": 2,
        "selector": {"matchLabels": instance.pod_labels(component)},
        **({"strategy": strategy} if strategy else {}),
        "template": template,
    }
    return instance.versioned(DEPLOYMENT, _name(component), spec=spec)


def _name(component: AirflowComponent) -> str:
    return f"{AIRFLOW}-{component.value}"
