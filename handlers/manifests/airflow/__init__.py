"""The Airflow of an environment. Typed specs in, Kubernetes objects out. Pure: no clock, no I/O, no randomness."""

from handlers.manifests.airflow.fitting import shortfalls
from handlers.manifests.airflow.instance import AirflowInstance
from handlers.manifests.airflow.keys import AirflowKeys, database_ref, keys_ref
from handlers.manifests.airflow.releases import check_major, resolve, running
from handlers.manifests.airflow.stages import PRUNED, Stages, objects, stages
from handlers.manifests.airflow.streaming import StreamingApplication

__all__ = [
    "PRUNED",
    "AirflowInstance",
    "AirflowKeys",
    "Stages",
    "StreamingApplication",
    "check_major",
    "database_ref",
    "keys_ref",
    "objects",
    "resolve",
    "running",
    "shortfalls",
    "stages",
]
