"""Airflow's configuration as environment variables: which process is told what, and from where.

Workers run users' code: they get neither the database nor the keys that tokens are signed with. Source of the names:
Airflow's configuration reference; of who needs what, Airflow 3.3 itself.
"""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from agentd.platform.airflow import AIRFLOW_PORT, AIRFLOW_SERVICE
from agentd.platform.airflow_defaults import ExternalDatabase, RemoteLogs
from handlers.manifests.airflow import bundles, keys
from handlers.manifests.airflow.instance import AirflowInstance
from handlers.manifests.airflow.pods import CONFIG_PATH, HOME, Part
from handlers.manifests.airflow.secrets_backend import backend
from handlers.manifests.airflow.theme import theme
from handlers.manifests.projects import DeployedProject

CONNECTION = "connection"
CONNECTION_ASYNC = "connection-async"

TEMPLATE_PATH = f"{HOME}/pod-template"
TEMPLATE = "pod_template.yaml"

CA = "database-ca.pem"

# How long a task's first token is good for, in seconds: it is made before the pod, which may wait for a node and an image.
_TOKEN_S = 3600
# An image never changes under a pod: there is nothing to look for again and again.
_REFRESH_S = 3600
_PARSE_AGAIN_S = 300

Variables = Mapping[str, str]


def worker(instance: AirflowInstance, projects: Sequence[DeployedProject]) -> list[Part]:
    """For what runs tasks."""
    return _plain(_everywhere(instance), _bundles(projects))


def migration(instance: AirflowInstance) -> list[Part]:
    """For what brings the database to its schema, and for what waits until it is there."""
    return [*_plain(_everywhere(instance), _processes(instance)), *_database()]


def check(instance: AirflowInstance, projects: Sequence[DeployedProject]) -> list[Part]:
    """For what parses builds before they are deployed: no connection, no variable, and no database to find them in."""
    none = {"AIRFLOW__SECRETS__BACKEND": "conveyor_check.NoSecrets"}
    return _plain(_everywhere(instance), _bundles(projects), none)


def api_server(instance: AirflowInstance) -> list[Part]:
    """For what serves users and tasks."""
    own = {
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME": str(_TOKEN_S),
        # It has no users: who comes through the proxy brings a token. The file is there because it must be writable.
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": "/tmp/passwords.json",  # noqa: S108 - a volume of the pod's own
        "FORWARDED_ALLOW_IPS": instance.defaults.forwarded_allow_ips,
        **theme(instance.environment.spec.airflow_configuration.webserver.navbar_color),
    }
    return [*_process(instance, own), _jwt(), _api_secret()]


def scheduler(instance: AirflowInstance) -> list[Part]:
    """For what starts workers."""
    own = {
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "True",
        "AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME": str(_TOKEN_S),
        "AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE": instance.environment.name,
        "AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE": f"{TEMPLATE_PATH}/{TEMPLATE}",
        "AIRFLOW__KUBERNETES_EXECUTOR__DELETE_WORKER_PODS": "True",
        # Nobody else removes them, and the agent has seen how they ended.
        "AIRFLOW__KUBERNETES_EXECUTOR__DELETE_WORKER_PODS_ON_FAILURE": "True",
        "AIRFLOW__KUBERNETES_EXECUTOR__WORKER_PODS_CREATION_BATCH_SIZE": "16",
    }
    return [*_process(instance, own), _jwt()]


def dag_processor(instance: AirflowInstance, projects: Sequence[DeployedProject]) -> list[Part]:
    """For what reads DAGs."""
    own = {
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": str(_REFRESH_S),
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": str(_PARSE_AGAIN_S),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_LOG_TARGET": "stdout",
    }
    return _process(instance, {**own, **_bundles(projects)})


def triggerer(instance: AirflowInstance) -> list[Part]:
    """For what waits on behalf of tasks. It serves its logs to whoever signs with the API server's key, under its address."""
    own = {"AIRFLOW__CORE__HOSTNAME_CALLABLE": "airflow.utils.net.get_host_ip_address"}
    return [*_process(instance, own), _api_secret()]


def database_urls(instance: AirflowInstance) -> dict[str, str]:
    """How Airflow reaches its database, by both of its drivers: they spell the check of certificates differently."""
    database, name = instance.defaults.database, instance.environment.name
    if isinstance(database, ExternalDatabase):
        where = f"{database.host}:{database.port}/{database.database(name)}"
        role, sync, asynchronous = database.role(name), f"?sslmode={database.sslmode}", f"?ssl={database.sslmode}"
    else:
        where, role, sync, asynchronous = f"{keys.DATABASE}:5432/airflow", "airflow", "", ""
    who = f"{role}:{quote(instance.keys.database_password, safe='')}"
    return {
        CONNECTION: f"postgresql+psycopg2://{who}@{where}{sync}",
        CONNECTION_ASYNC: f"postgresql+asyncpg://{who}@{where}{asynchronous}",
    }


def _everywhere(instance: AirflowInstance) -> Variables:
    return {
        "AIRFLOW_HOME": HOME,
        "AIRFLOW_CONFIG": f"{CONFIG_PATH}/airflow.cfg",
        # Secrets backends are loaded before Airflow itself looks there.
        "PYTHONPATH": CONFIG_PATH,
        # The image would wait for a database that workers do not have; the others wait for its schema.
        "CONNECTION_CHECK_MAX_COUNT": "0",
        "AIRFLOW_VAR_ENVIRONMENT": instance.environment.name,
        "AIRFLOW__CORE__EXECUTOR": "KubernetesExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{AIRFLOW_SERVICE}:{AIRFLOW_PORT}{instance.prefix}/execution/",
        **_remote_logs(instance),
    }


def _bundles(projects: Sequence[DeployedProject]) -> Variables:
    """For those who load DAGs: the others need not be started anew for a deploy."""
    return {"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": bundles.bundle_list(projects)}


def _remote_logs(instance: AirflowInstance) -> Variables:
    logs = instance.defaults.logs
    if not isinstance(logs, RemoteLogs):
        return {}
    return {
        "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
        "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": logs.folder.format(environment=instance.environment.name),
        **({"AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": logs.connection_id} if logs.connection_id else {}),
    }


def _processes(instance: AirflowInstance) -> Variables:
    """For every process but workers."""
    core = instance.environment.spec.airflow_configuration.core
    database = instance.defaults.database
    ca = isinstance(database, ExternalDatabase) and database.ca is not None
    return {
        "AIRFLOW__API__BASE_URL": instance.base_url,
        "AIRFLOW__CORE__AUTH_MANAGER": (
            "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
        ),
        "AIRFLOW__CORE__PARALLELISM": str(core.parallelism),
        "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": str(core.max_active_tasks_per_dag),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE": "5",
        **({"PGSSLROOTCERT": f"{CONFIG_PATH}/{CA}"} if ca else {}),
    }


def _process(instance: AirflowInstance, own: Variables) -> list[Part]:
    """For the processes that look up connections and variables by themselves."""
    secrets = backend(instance.environment.spec.airflow_configuration.secret)
    return [*_plain(_everywhere(instance), _processes(instance), secrets, own), *_database()]


def _plain(*parts: Variables) -> list[Part]:
    told = {name: value for part in parts for name, value in part.items()}
    return [{"name": name, "value": told[name]} for name in sorted(told)]


def _database() -> list[Part]:
    """The way to the database, and what connections are encrypted with in it."""
    return [
        _secret("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", keys.DATABASE, CONNECTION),
        _secret("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC", keys.DATABASE, CONNECTION_ASYNC),
        _secret("AIRFLOW__CORE__FERNET_KEY", keys.KEYS, keys.FERNET_KEY),
    ]


def _jwt() -> Part:
    return _secret("AIRFLOW__API_AUTH__JWT_SECRET", keys.KEYS, keys.JWT_SECRET)


def _api_secret() -> Part:
    return _secret("AIRFLOW__API__SECRET_KEY", keys.KEYS, keys.API_SECRET_KEY)


def _secret(variable: str, secret: str, key: str) -> Part:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
