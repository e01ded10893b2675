"""PostgreSQL in the environment's namespace, where the installation has no server of its own."""

from agentd.platform import Manifest
from agentd.platform.airflow_defaults import AirflowComponent, ClusterDatabase
from handlers.manifests.airflow import keys
from handlers.manifests.airflow.configuration import claim
from handlers.manifests.airflow.instance import AirflowInstance
from handlers.manifests.airflow.pods import READ_ONLY, SECCOMP, Part, placement, requests
from handlers.manifests.kinds import SERVICE, STATEFUL_SET

NAME = keys.DATABASE
PORT = 5432
_ROLE = "airflow"

# Source: the official image. Its data lie in a folder of the volume: the volume's own root may hold other things.
_USER = 999
_DATA = "/var/lib/postgresql/data"
_SECURITY: Part = {
    **SECCOMP,
    "runAsUser": _USER,
    "runAsGroup": _USER,
    "fsGroup": _USER,
    "fsGroupChangePolicy": "OnRootMismatch",
}
# The image's signal for a stop is the one for a fast, orderly one: clients are cut off, and a checkpoint is written.
_GRACE_S = 60


def database(instance: AirflowInstance) -> list[Manifest]:
    """The server, its volume and its name; nothing where the database is elsewhere."""
    found = instance.defaults.database
    if not isinstance(found, ClusterDatabase):
        return []
    selector = instance.pod_labels(AirflowComponent.DATABASE)
    service = {"clusterIP": "None", "selector": selector, "ports": [{"name": "postgresql", "port": PORT}]}
    server = {
        "replicas": instance.replicas(),
        "serviceName": NAME,
        "selector": {"matchLabels": selector},
        "template": {"metadata": {"labels": selector}, "spec": _pod(instance, found)},
    }
    return [
        claim(instance, NAME, "ReadWriteOnce", found.storage, found.storage_class),
        instance.object(SERVICE, NAME, spec=service),
        instance.object(STATEFUL_SET, NAME, spec=server),
    ]


def _pod(instance: AirflowInstance, found: ClusterDatabase) -> Part:
    """On machines that stay, whatever the environment's lifecycle is: all of Airflow stands still without it."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": _SECURITY,
        "terminationGracePeriodSeconds": _GRACE_S,
        **placement(instance, instance.defaults.on_demand),
        "containers": [_container(instance, found)],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": NAME}},
            {"name": "run", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def _container(instance: AirflowInstance, found: ClusterDatabase) -> Part:
    password = {"secretKeyRef": {"name": keys.DATABASE, "key": keys.PASSWORD}}
    ready = {"exec": {"command": ["pg_isready", "--username", _ROLE, "--dbname", _ROLE]}, "timeoutSeconds": 5}
    return {
        "name": "postgresql",
        "image": found.image,
        "env": [
            {"name": "PGDATA", "value": f"{_DATA}/pgdata"},
            {"name": "POSTGRES_DB", "value": _ROLE},
            {"name": "POSTGRES_USER", "value": _ROLE},
            {"name": "POSTGRES_PASSWORD", "valueFrom": password},
        ],
        "ports": [{"name": "postgresql", "containerPort": PORT}],
        "resources": requests(instance.resources(AirflowComponent.DATABASE)),
        "securityContext": READ_ONLY,
        # It may have a crash to recover from.
        "startupProbe": {**ready, "periodSeconds": 5, "failureThreshold": 120},
        "readinessProbe": {**ready, "periodSeconds": 10},
        "livenessProbe": {**ready, "periodSeconds": 30, "failureThreshold": 6},
        "volumeMounts": [
            {"name": "data", "mountPath": _DATA},
            {"name": "run", "mountPath": "/var/run/postgresql"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
        ],
    }
