"""What every environment's Airflow is given: the installation's choice, the same for every handler."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

# Source: NAMEDATALEN of PostgreSQL.
_PG_NAME_MAX = 63


class AirflowComponent(StrEnum):
    """The processes that an Airflow is made of."""

    API_SERVER = "api-server"
    """Serves users, the agent and the workers."""
    SCHEDULER = "scheduler"
    """Starts a worker's pod for each task."""
    DAG_PROCESSOR = "dag-processor"
    """Reads the projects' DAGs."""
    TRIGGERER = "triggerer"
    """Waits on behalf of deferred tasks."""
    WORKER = "worker"
    """Runs one task."""
    MIGRATION = "migration"
    """Brings the database to the version's schema, once."""
    DATABASE = "database"
    """PostgreSQL, where it is in the cluster."""
    CHECK = "check"
    """Parses the builds of a deploy, before anything that runs is touched."""


@dataclass(frozen=True, slots=True)
class Release:
    """An Airflow that this installation can run."""

    version: str
    image: str


@dataclass(frozen=True, slots=True)
class Resources:
    """What a container asks for, and the memory at which it is ended. No limit of CPU: it would only slow things down."""

    cpu: str
    memory: str
    memory_limit: str


@dataclass(frozen=True, slots=True)
class Toleration:
    """A taint of nodes that pods put up with; of any value when none is given."""

    key: str
    value: str | None = None
    effect: str | None = None


@dataclass(frozen=True, slots=True)
class Nodes:
    """Which nodes pods go to."""

    selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterDatabase:
    """A PostgreSQL of its own for every environment, in its namespace."""

    image: str = "postgres:17.6"
    storage: str = "10Gi"
    storage_class: str | None = None
    """The cluster's own default when not given."""


@dataclass(frozen=True, slots=True)
class ExternalDatabase:
    """A PostgreSQL server with a database and a role of its own for every environment. Names hold {environment}."""

    host: str
    port: int = 5432
    sslmode: str = "require"
    ca: str | None = None
    """Certificates that the server's is checked against, in PEM."""
    database_template: str = "airflow_{environment}"
    role_template: str = "airflow_{environment}"
    cidrs: tuple[str, ...] = ()
    """Where the server is, as pods see it. Unknown when empty: Airflow's pods may then connect to its port anywhere."""

    def database(self, environment: str) -> str:
        """The environment's database."""
        return _pg_name(self.database_template, environment)

    def role(self, environment: str) -> str:
        """The role that owns it."""
        return _pg_name(self.role_template, environment)


@dataclass(frozen=True, slots=True)
class SharedLogs:
    """A volume that many pods write to at once."""

    storage: str = "10Gi"
    storage_class: str | None = None


@dataclass(frozen=True, slots=True)
class RemoteLogs:
    """A folder in the cloud, reached through a connection of Airflow's, or with the identity alone."""

    folder: str
    connection_id: str = ""


AirflowDatabase = ClusterDatabase | ExternalDatabase
AirflowLogs = SharedLogs | RemoteLogs | None

# Measured on Airflow 3.3: what an idle component holds, and beside it a probe by `airflow jobs check` (145 MB), with headroom.
RESOURCES: Mapping[AirflowComponent, Resources] = {
    AirflowComponent.API_SERVER: Resources("100m", "512Mi", "1024Mi"),
    AirflowComponent.SCHEDULER: Resources("200m", "768Mi", "1536Mi"),
    AirflowComponent.DAG_PROCESSOR: Resources("100m", "512Mi", "1536Mi"),
    AirflowComponent.TRIGGERER: Resources("100m", "512Mi", "1024Mi"),
    AirflowComponent.WORKER: Resources("250m", "512Mi", "2048Mi"),
    AirflowComponent.MIGRATION: Resources("100m", "256Mi", "1024Mi"),
    AirflowComponent.DATABASE: Resources("100m", "256Mi", "1024Mi"),
    AirflowComponent.CHECK: Resources("250m", "512Mi", "1536Mi"),
}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long each step of a deploy or an end may take before it is given up, in seconds. What can never come up is not

    waited for.
    """

    check_s: float = 900.0
    start_s: float = 900.0
    parse_s: float = 600.0
    drain_s: float = 600.0


@dataclass(frozen=True, slots=True)
class AirflowDefaults:
    """Handlers get it by `ctx.port(AirflowDefaults)`."""

    releases: tuple[Release, ...] = (Release("3.3.2", "apache/airflow:3.3.2"),)
    """Newest first."""
    database: AirflowDatabase = ClusterDatabase()
    logs: AirflowLogs = None
    """None: a task's log is gone with its pod, unless the cluster collects what pods print."""
    base_url: str = "http://localhost:8080/environments/{environment}/airflow"
    """Under which people reach an environment's Airflow; with {environment}."""
    forwarded_allow_ips: str = "*"
    """Whose word on the protocol and address of a request the API server takes. Only the agent's pods reach it at all."""
    api_server_replicas: int = 1
    spot: Nodes = Nodes()
    on_demand: Nodes = Nodes()
    resources: Mapping[AirflowComponent, Resources] = field(default_factory=lambda: dict(RESOURCES))
    image_pull_secrets: tuple[str, ...] = ()
    """Names of Secrets in the environments' namespaces, for registries that nodes cannot pull from by themselves."""
    priority_class: str | None = None
    patience: Patience = Patience()


def _pg_name(template: str, environment: str) -> str:
    """PostgreSQL cuts longer names off without a word, and two environments would share one database."""
    name = template.format(environment=environment)
    if len(name) <= _PG_NAME_MAX:
        return name
    return f"{name[: _PG_NAME_MAX - 13]}_{sha256(name.encode()).hexdigest()[:12]}"


def release_order(version: str) -> tuple[int, ...]:
    """By what a version such as `3.3.2` is newer than another."""
    return tuple(int(part) for part in version.split("."))
