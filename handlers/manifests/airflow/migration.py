"""The Job that brings the database to a version's schema."""

import json
from collections.abc import Sequence
from hashlib import sha256

from agentd.platform import Manifest
from agentd.platform.airflow_defaults import AirflowComponent
from handlers.manifests.airflow import variables
from handlers.manifests.airflow.instance import AirflowInstance
from handlers.manifests.airflow.pods import Part, container, pod
from handlers.manifests.kinds import JOB
from handlers.manifests.labels import AIRFLOW

# A large database takes minutes; one that does not come up at all is given up.
_DEADLINE_S = 3600
_RETRIES = 6

# How long a component waits for the schema before its pod is started again, in seconds.
_WAIT_S = 300


def migration(instance: AirflowInstance) -> Manifest:
    """Named for the version and for its own content, since a Job cannot be changed. Safe to run twice, even at once."""
    env = variables.migration(instance)
    migrate = container(instance, AirflowComponent.MIGRATION, name="migrate", args=("db", "migrate"), env=env)
    spec = {
        "backoffLimit": _RETRIES,
        "activeDeadlineSeconds": _DEADLINE_S,
        "template": pod(instance, AirflowComponent.MIGRATION, [migrate], account=AIRFLOW, restartPolicy="OnFailure"),
    }
    digest = sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:8]
    return instance.versioned(JOB, f"airflow-migrate-{instance.release.version.replace('.', '-')}-{digest}", spec=spec)


def wait_for_schema(instance: AirflowInstance, component: AirflowComponent) -> Part:
    """What comes before a component's own container: with another schema than its own it would only fail."""
    args: Sequence[str] = ("db", "check-migrations", f"--migration-wait-timeout={_WAIT_S}")
    return container(instance, component, name="wait-for-schema", args=args, env=variables.migration(instance))
