"""The Secrets and files that Airflow's processes read, and the volume that their logs go to."""

import json
from hashlib import sha256

from agentd.platform import Manifest
from agentd.platform.airflow_defaults import ExternalDatabase, SharedLogs
from handlers.manifests.airflow import keys
from handlers.manifests.airflow.delivery import CFG, delivered
from handlers.manifests.airflow.instance import AirflowInstance
from handlers.manifests.airflow.pods import CONFIG, LOGS
from handlers.manifests.airflow.variables import CA, database_urls
from handlers.manifests.kinds import CONFIG_MAP, PERSISTENT_VOLUME_CLAIM, SECRET

# What runs inside Airflow. It is part of this package, and read once.
_DELIVERED = {name: delivered(name) for name in ("airflow_local_settings.py", "conveyor_secrets.py")}

# Put on pods so that they are replaced when what they have read is not what it was.
DIGEST = "checksum/configuration"


def secrets(instance: AirflowInstance) -> list[Manifest]:
    """What Airflow must know and nobody else may. What follows from the keys is made anew each time, and comes out the same."""
    database = keys.encoded({keys.PASSWORD: instance.keys.database_password, **database_urls(instance)})
    return [
        instance.object(SECRET, keys.KEYS, type="Opaque", immutable=True, data=instance.keys.data()),
        instance.object(SECRET, keys.DATABASE, type="Opaque", data=database),
    ]


def config(instance: AirflowInstance) -> Manifest:
    """The files."""
    return instance.object(CONFIG_MAP, CONFIG, data=_files(instance))


def digest(instance: AirflowInstance) -> str:
    """Changes with the files, and with where the database is."""
    database = instance.defaults.database
    where = (database.host, database.port, database.sslmode) if isinstance(database, ExternalDatabase) else ()
    text = json.dumps([_files(instance), where], sort_keys=True)
    return sha256(text.encode()).hexdigest()[:16]


def logs(instance: AirflowInstance) -> list[Manifest]:
    """The claim on the volume of logs, where there is one."""
    found = instance.defaults.logs
    if not isinstance(found, SharedLogs):
        return []
    return [claim(instance, LOGS, "ReadWriteMany", found.storage, found.storage_class)]


def claim(instance: AirflowInstance, name: str, mode: str, storage: str, storage_class: str | None) -> Manifest:
    """A claim on a volume. It is an object of its own, so that it can grow: a StatefulSet's own templates never change."""
    spec = {
        "accessModes": [mode],
        "resources": {"requests": {"storage": storage}},
        **({} if storage_class is None else {"storageClassName": storage_class}),
    }
    return instance.object(PERSISTENT_VOLUME_CLAIM, name, spec=spec)


def _files(instance: AirflowInstance) -> dict[str, str]:
    database = instance.defaults.database
    ca = {CA: database.ca} if isinstance(database, ExternalDatabase) and database.ca is not None else {}
    return {**CFG, **_DELIVERED, **ca}
