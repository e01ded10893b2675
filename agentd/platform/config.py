"""Settings of the ports."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from agentd.core import Config
from agentd.platform.airflow import AIRFLOW_PORT, AIRFLOW_SERVICE
from agentd.platform.airflow_defaults import (
    RESOURCES,
    AirflowComponent,
    AirflowDatabase,
    AirflowDefaults,
    AirflowLogs,
    ClusterDatabase,
    ExternalDatabase,
    Nodes,
    Patience,
    Release,
    RemoteLogs,
    Resources,
    SharedLogs,
    Toleration,
    release_order,
)
from agentd.platform.cluster_defaults import ClusterDefaults
from agentd.platform.registry import LifecyclePolicy, RepositoryAccess
from agentd.platform.repositories import RepositoryDefaults

# ECR's own rule for one part of a repository's name or more. Source: the API reference of CreateRepository.
_PREFIX = r"^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$"
# Source: RFC 1123 labels, which names of namespaces are.
_NAMESPACE = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
# A role's path and name. Source: the API reference of CreateRole; of the path, what policies can name without escapes.
_PATH = r"^/([A-Za-z0-9+=,.@_-]+/)*$"
_ROLE_PREFIX = r"^[A-Za-z0-9+=,.@_-]*$"
_POLICY_ARN = r"^arn:aws[a-z-]*:iam::(\d{12}|aws):policy/\S+$"
_PROVIDER_ARN = r"^arn:aws[a-z-]*:iam::\d{12}:oidc-provider/\S+$"
_SERVICE_URL = r"^https?://[^\s/?#]+$"
_ISSUER_URL = r"^https://[^\s/?#]+(/[^\s?#]+)?$"

# Source: the API reference of labels, RFC 1123 subdomains, and the serialisation format of resource.Quantity.
_LABEL = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
_LABEL_KEY = r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
_OBJECT_NAME = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"
_QUANTITY = r"^[0-9]+(\.[0-9]{1,3})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
_RELEASE = r"^3\.[0-9]{1,3}\.[0-9]{1,3}$"
# As kubectl spells taints.
_TOLERATION = (
    r"^(?P<key>[A-Za-z0-9][A-Za-z0-9./_-]*)(=(?P<value>[A-Za-z0-9._-]*))?"
    r"(:(?P<effect>NoSchedule|PreferNoSchedule|NoExecute))?$"
)
_PG_NAME = r"^[a-z0-9_]*\{environment\}[a-z0-9_]*$"

PolicyArn = Annotated[str, StringConstraints(pattern=_POLICY_ARN, max_length=2048)]


Cidr = Annotated[
    str, StringConstraints(pattern=r"^([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}$|^[0-9a-f:]+/[0-9]{1,3}$", max_length=64)
]


class RegistryConfig(Config):
    """The image registry, and what a repository is given when it is created."""

    repository_prefix: Annotated[str, StringConstraints(pattern=_PREFIX, max_length=150)] = "conveyor/data-plane"
    """Every repository's name begins with it, then /project/<name> or /package/<name>; it also limits what the agent's
    identity must be allowed to touch."""
    expire_untagged_days: Annotated[int, Field(ge=1, le=3650)] = 7
    """Images without a tag go after so many days: a week is enough to notice a wrong push."""
    keep_images: Annotated[int, Field(ge=1, le=100_000)] = 500
    """So many of the newest images stay, beside those that a deployment uses: about a year of builds of a busy project."""
    scan_on_push: bool = True
    """Scan each image for known vulnerabilities when it is pushed."""
    immutable_tags: bool = True
    """A tag names one build for ever; a deployment can rely on it."""
    kms_key: str | None = None
    """ARN, id or alias of the KMS key for new repositories; the provider's own encryption when not given."""
    pull_principals: tuple[str, ...] = ()
    """ARNs or account numbers that may pull beside this account: the nodes of a cluster in another account."""
    push_principals: tuple[str, ...] = ()
    """ARNs or account numbers that may push beside this account."""
    call_timeout_s: Annotated[float, Field(gt=0, le=120)] = 10.0
    """The longest that one call may take, in seconds; ECR answers within one, deletes of full repositories within five.
    What remains of the lease shortens it further."""
    page_size: Annotated[int, Field(ge=1, le=1000)] = 1000
    """Items per page of a listing: as many as ECR gives."""
    parallel_reads: Annotated[int, Field(ge=1, le=50)] = 8
    """Calls at once while all repositories are read: below ECR's default rates."""

    def defaults(self) -> RepositoryDefaults:
        """What handlers need of it."""
        return RepositoryDefaults(
            prefix=self.repository_prefix,
            lifecycle=LifecyclePolicy(untagged_days=self.expire_untagged_days, keep_images=self.keep_images),
            access=RepositoryAccess(pull=self.pull_principals, push=self.push_principals),
            scan_on_push=self.scan_on_push,
            immutable_tags=self.immutable_tags,
            kms_key=self.kms_key,
        )


class ArtifactsConfig(Config):
    """Where large events and reports are kept: a bucket, or a folder on one machine. Neither: no claim checks."""

    bucket: str | None = None
    """S3 bucket of the data plane."""
    prefix: Annotated[str, StringConstraints(pattern=r"^[^/].*[^/]$|^[^/]$", max_length=200)] = "conveyor"
    """Keys begin with it and a slash; nothing outside is read or written."""
    directory: Path | None = None
    """Folder, for one machine."""
    transfer_timeout_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    """The longest that one transfer may take, in seconds: events are small, a stuck one should be tried again soon."""

    @model_validator(mode="after")
    def _one_store(self) -> Self:
        if self.bucket is not None and self.directory is not None:
            raise ValueError("set bucket or directory, not both")
        return self


Quantity = Annotated[str, StringConstraints(pattern=_QUANTITY, max_length=32)]
ObjectName = Annotated[str, StringConstraints(pattern=_OBJECT_NAME, max_length=253)]
ImageReference = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$", max_length=512)]
NodeSelector = dict[
    Annotated[str, StringConstraints(pattern=_LABEL_KEY, max_length=317)],
    Annotated[str, StringConstraints(pattern=_LABEL)],
]
Tolerations = tuple[Annotated[str, StringConstraints(pattern=_TOLERATION, max_length=512)], ...]
PgName = Annotated[str, StringConstraints(pattern=_PG_NAME, max_length=63)]


class ClusterConfig(Config):
    """The Kubernetes cluster: how it is reached, and how patiently."""

    access: Literal["none", "kubeconfig", "in_cluster", "eks"] = "none"
    """Where address and credentials come from: a kubeconfig, the pod's own service account, or EKS through the agent's AWS
    identity. With `none` this installation has no cluster: registries alone need none."""
    kubeconfig: Path | None = None
    """The kubeconfig's path, for access `kubeconfig`; where kubectl looks when not given. It is read, and never written."""
    context: str | None = None
    """Context of the kubeconfig; its current one when not given."""
    eks_cluster: str | None = None
    """Name of the EKS cluster, for access `eks`; its region is the one of `aws`."""
    call_timeout_s: Annotated[float, Field(gt=0, le=120)] = 10.0
    """The longest that one call may take, in seconds; the API server answers within one, admission webhooks are given up to
    ten by default. What remains of the lease shortens a write further."""
    delete_wait_s: Annotated[float, Field(ge=0, le=600)] = 4.0
    """How long a delete waits in place until the object is gone, in seconds; then it is looked at again later. Below the five
    seconds after which a wait should give its slot back."""
    ready_wait_s: Annotated[float, Field(ge=0, le=600)] = 4.0
    """The same for what has been started, until it is ready, and for what has been stopped, until it is gone."""
    watch_timeout_s: Annotated[int, Field(ge=10, le=3600)] = 240
    """How long one watch lasts before the server ends it and it is begun anew where it was, in seconds: a connection that has
    died unnoticed is noticed then."""
    page_size: Annotated[int, Field(ge=1, le=5000)] = 500
    """Objects per page of a listing: what kubectl asks for."""
    parallel_calls: Annotated[int, Field(ge=1, le=500)] = 16
    """Calls at once, watches not counted: below what API priority and fairness gives one client of a small cluster."""
    system_namespace: Annotated[str, StringConstraints(pattern=_NAMESPACE, max_length=63)] = "conveyor-system"
    """Namespace of what the agent keeps in the cluster beside the environments."""

    api_server_cidrs: tuple[Cidr, ...] = ()
    """Where the API server is, as pods see it. When not given, Airflow's pods may connect to its ports anywhere."""

    def defaults(self, *, tenant_id: str) -> ClusterDefaults:
        """What handlers need of it."""
        return ClusterDefaults(
            system_namespace=self.system_namespace,
            tenant_id=tenant_id,
            api_server_cidrs=self.api_server_cidrs,
            ready_wait_s=self.ready_wait_s,
            delete_wait_s=self.delete_wait_s,
        )

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.access == "eks" and self.eks_cluster is None:
            raise ValueError("access eks needs eks_cluster, the cluster's name")
        return self


class AirflowDatabaseConfig(Config):
    """Where Airflow keeps its metadata."""

    place: Literal["cluster", "external"] = "cluster"
    """`cluster`: a PostgreSQL of its own in every environment, with a volume. `external`: a database and a role for every
    environment on a server that there is already."""
    image: ImageReference = "postgres:17.6"
    """Image of PostgreSQL in the cluster. Its major version must not change while there is data: PostgreSQL would not start."""
    storage: Quantity = "10Gi"
    """Size of each database's volume in the cluster: years of runs of a busy environment. It can grow where the storage class
    lets it, and never shrink."""
    storage_class: ObjectName | None = None
    """Storage class of these volumes; the cluster's default when not given. Volumes that exist keep theirs."""
    host: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$", max_length=253)] | None
    ) = None
    """Name or address of the external server. Needed with `external`."""
    port: Annotated[int, Field(ge=1, le=65535)] = 5432
    """Port of the external server."""
    sslmode: Literal["require", "verify-ca", "verify-full"] = "require"
    """How the external server's certificate is checked, as libpq names it; `require` encrypts and checks nothing. A password goes
    over the line: never without TLS."""
    ca_file: Path | None = None
    """Certificates that the external server's is checked against, in PEM. Needed with `verify-ca` and `verify-full`; every
    environment is given them."""
    cidrs: tuple[Cidr, ...] = ()
    """Where the external server is, as pods see it. When not given, Airflow's pods may connect to its port anywhere."""
    database: PgName = "airflow_{environment}"
    """Name of an environment's database on the external server."""
    role: PgName = "airflow_{environment}"
    """Name of the role that owns it."""
    admin: Annotated[str, StringConstraints(min_length=1, max_length=63)] = "postgres"
    """Role on the external server as which the agent makes the others: it may create databases and roles (CREATEDB, CREATEROLE),
    and need be no superuser."""
    admin_password_file: Path | None = None
    """File with that role's password, read anew for every connection. Needed with `external`."""
    admin_database: Annotated[str, StringConstraints(min_length=1, max_length=63)] = "postgres"
    """Database that it connects to."""
    call_timeout_s: Annotated[float, Field(gt=0, le=120)] = 20.0
    """The longest that a connection or a statement of the agent's own may take, in seconds: a new database is copied from a
    template. What remains of the lease shortens it further."""

    @model_validator(mode="after")
    def _has_a_host(self) -> Self:
        if self.place == "external" and self.host is None:
            raise ValueError("place external needs host, the server's name")
        if self.place == "external" and self.admin_password_file is None:
            raise ValueError("place external needs admin_password_file, the password of the role that makes databases")
        if self.sslmode != "require" and self.ca_file is None:
            raise ValueError(f"sslmode {self.sslmode} needs ca_file, the certificates to check against")
        return self

    def defaults(self) -> AirflowDatabase:
        """What handlers need of it. Reads the certificates; OSError when they are not there."""
        if self.place == "external" and self.host is not None:
            return ExternalDatabase(
                host=self.host,
                port=self.port,
                sslmode=self.sslmode,
                ca=None if self.ca_file is None else self.ca_file.read_text(encoding="ascii"),
                database_template=self.database,
                role_template=self.role,
                cidrs=self.cidrs,
            )
        return ClusterDatabase(self.image, self.storage, self.storage_class)


class AirflowLogsConfig(Config):
    """Where the logs of tasks are kept once their pods are gone."""

    place: Literal["none", "volume", "remote"] = "none"
    """`none`: nowhere; pods also print them, for a collector of the cluster's. `volume`: a volume that many pods write to at
    once, in every environment. `remote`: a folder in the cloud."""
    storage: Quantity = "10Gi"
    """Size of each environment's volume."""
    storage_class: ObjectName | None = None
    """Storage class of these volumes; it must offer ReadWriteMany. The cluster's default when not given."""
    folder: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+://\S+$", max_length=1024)] | None = None
    """The remote folder, as Airflow spells it: `s3://bucket/path`, `wasb://container/path`, `cloudwatch://ARN`; the
    environment's name goes behind it, or where it says {environment}."""
    connection_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]*$", max_length=250)] = ""
    """Airflow's connection to it. With none, Airflow reads with its own identity, and tasks write with their projects'."""

    @model_validator(mode="after")
    def _has_a_folder(self) -> Self:
        if self.place == "remote" and self.folder is None:
            raise ValueError("place remote needs folder")
        return self

    def defaults(self) -> AirflowLogs:
        """What handlers need of it."""
        if self.place == "remote" and self.folder is not None:
            folder = self.folder if "{environment}" in self.folder else f"{self.folder.rstrip('/')}/{{environment}}"
            return RemoteLogs(folder, self.connection_id)
        return SharedLogs(self.storage, self.storage_class) if self.place == "volume" else None


class ComponentResourcesConfig(Config):
    """What one container asks for."""

    cpu: Quantity
    """CPU cores requested."""
    memory: Quantity
    """Memory requested."""
    memory_limit: Quantity
    """Memory at which the container is ended."""


class AirflowPatienceConfig(Config):
    """How long the steps of a deploy may take before it is given up, and the previous builds are put back."""

    check_s: Annotated[float, Field(ge=10, le=7200)] = 900.0
    """Reading all builds before they are deployed, the pull of their images included, in seconds: some seconds for a build whose
    image is there; minutes for one of gigabytes, or where a node has to be added first."""
    start_s: Annotated[float, Field(ge=10, le=7200)] = 900.0
    """Until the DAG processor is at work with the new builds, in seconds: half a minute, beside waiting for images and nodes."""
    parse_s: Annotated[float, Field(ge=10, le=7200)] = 600.0
    """Until it has read every DAG of the new builds, in seconds: it takes seconds, and up to 50 s for each file that is slow."""

    drain_s: Annotated[float, Field(ge=0, le=86400)] = 600.0
    """How long tasks may go on once an environment is to be deleted and its DAGs are paused, in seconds; then they are ended. 0:
    nothing is paused or waited for."""

    def defaults(self) -> Patience:
        """What handlers need of it."""
        return Patience(self.check_s, self.start_s, self.parse_s, self.drain_s)


class AirflowApiConfig(Config):
    """The Airflows' REST APIs: how they are reached, and how patiently."""

    route: Literal["service", "api_server"] = "service"
    """`service`: the environment's Service itself, for an agent in the cluster's network. `api_server`: the Kubernetes API
    server's proxy to it, with the agent's own credentials, which then need get, create and patch on `services/proxy`."""
    url: Annotated[str, StringConstraints(pattern=_SERVICE_URL, max_length=200)] = (
        f"http://{AIRFLOW_SERVICE}.{{namespace}}.svc:{AIRFLOW_PORT}"
    )
    """Where an environment's Service is, for route `service`; {namespace} stands for the environment's namespace."""
    call_timeout_s: Annotated[float, Field(gt=0, le=120)] = 20.0
    """The longest that one call may take, in seconds. An API server answers within one, but nobody at all while it loads the
    tasks' half of its API, with the first task of its life: four seconds of CPU. What remains of the lease shortens a write."""
    parallel_calls: Annotated[int, Field(ge=1, le=100)] = 4
    """Calls at once to one environment: its API server has one worker unless it is made larger."""
    page_size: Annotated[int, Field(ge=1, le=1000)] = 100
    """Items per page of a listing: as many as Airflow gives by default."""
    max_answer_bytes: Annotated[int, Field(ge=65_536, le=268_435_456)] = 8_388_608
    """The largest answer that is read, and the largest page of a log, in bytes: 100 import errors with long tracebacks fit."""


class AirflowConfig(Config):
    """The Airflow of every environment."""

    releases: dict[Annotated[str, StringConstraints(pattern=_RELEASE)], ImageReference] = Field(
        default={"3.3.2": "apache/airflow:3.3.2"}, min_length=1
    )
    """Which versions this installation runs, and the image of each. An environment that asks for 3 or 3.3 gets the newest that
    fits, and keeps it until it asks for more. An image needs the providers cncf.kubernetes and postgres, and asyncpg."""
    base_url: Annotated[str, StringConstraints(pattern=r"^https?://\S+\{environment\}\S*$", max_length=1024)] = (
        "http://localhost:8080/environments/{environment}/airflow"
    )
    """Under which people reach an environment's Airflow, through the proxy; with {environment}. Airflow serves below its path."""
    forwarded_allow_ips: Annotated[str, StringConstraints(pattern=r"^(\*|[0-9a-fA-F.:/,]+)$", max_length=1024)] = "*"
    """Addresses whose word Airflow takes on a request's protocol and client, as uvicorn spells them. Network policies let no
    one but the agent's namespace and the environment's own workers reach it."""
    api_server_replicas: Annotated[int, Field(ge=1, le=20)] = 1
    """API servers of each Airflow. From two on, one is always kept while nodes are drained."""
    spot_node_selector: NodeSelector = Field(default={})
    """Labels of the nodes for environments on spot machines; any node when not given."""
    spot_tolerations: Tolerations = ()
    """Taints of these nodes, each as kubectl spells it: `key=value:NoSchedule`, `key:NoSchedule` or `key`."""
    on_demand_node_selector: NodeSelector = Field(default={})
    """Labels of the nodes for environments on on-demand machines, and for every database in the cluster."""
    on_demand_tolerations: Tolerations = ()
    """Taints of these nodes."""
    resources: dict[AirflowComponent, ComponentResourcesConfig] = Field(default={})
    """What containers ask for, by component. Those that are not named keep the agent's own choice."""
    image_pull_secrets: tuple[ObjectName, ...] = ()
    """Names of Secrets in the environments' namespaces, for registries that nodes cannot pull from by themselves."""
    priority_class: ObjectName | None = None
    """Priority class of Airflow's own pods; the cluster's default when not given."""
    database: AirflowDatabaseConfig = AirflowDatabaseConfig()
    logs: AirflowLogsConfig = AirflowLogsConfig()
    api: AirflowApiConfig = AirflowApiConfig()
    patience: AirflowPatienceConfig = AirflowPatienceConfig()

    def defaults(self) -> AirflowDefaults:
        """What handlers need of it."""
        newest_first = sorted(self.releases.items(), key=lambda item: release_order(item[0]), reverse=True)
        own = {name: Resources(found.cpu, found.memory, found.memory_limit) for name, found in self.resources.items()}
        return AirflowDefaults(
            releases=tuple(Release(version, image) for version, image in newest_first),
            database=self.database.defaults(),
            logs=self.logs.defaults(),
            base_url=self.base_url,
            forwarded_allow_ips=self.forwarded_allow_ips,
            api_server_replicas=self.api_server_replicas,
            spot=_nodes(self.spot_node_selector, self.spot_tolerations),
            on_demand=_nodes(self.on_demand_node_selector, self.on_demand_tolerations),
            resources={**RESOURCES, **own},
            image_pull_secrets=self.image_pull_secrets,
            priority_class=self.priority_class,
            patience=self.patience.defaults(),
        )


def _nodes(selector: NodeSelector, tolerations: Tolerations) -> Nodes:
    parts = [match.groupdict() for text in tolerations if (match := re.match(_TOLERATION, text)) is not None]
    return Nodes(selector, tuple(Toleration(part["key"], part["value"], part["effect"]) for part in parts))


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """The cluster's OIDC issuer as the cloud account knows it. `issuer` is its URL without the scheme, as IAM names it."""

    issuer: str
    arn: str


class IdentitiesConfig(Config):
    """What workloads of the cluster are in the cloud."""

    provider: Literal["none", "aws"] = "none"
    """`aws`: an IAM role for each environment, which its service accounts may become. `none`: the agent makes no
    identities; workloads have those of the node, or what the cluster's operator gives them."""
    path: Annotated[str, StringConstraints(pattern=_PATH, max_length=512)] = "/conveyor/"
    """Path of every role; with the prefix it limits what the agent's identity must be allowed to touch. Roles that exist
    stay where they are."""
    role_prefix: Annotated[str, StringConstraints(pattern=_ROLE_PREFIX, max_length=32)] = "conveyor-"
    """Every role's name begins with it. Names are unique in the account: two agents of one account need two prefixes."""
    permissions_boundary: PolicyArn | None = None
    """ARN of the policy that bounds what a role can ever be allowed. When not given, roles get none, and a boundary that
    somebody else has set stays: the agent never lifts one."""
    oidc_issuer_url: Annotated[str, StringConstraints(pattern=_ISSUER_URL)] | None = None
    """The cluster's OIDC issuer, as in its service-account tokens. Needed with `aws`."""
    oidc_provider_arn: Annotated[str, StringConstraints(pattern=_PROVIDER_ARN)] | None = None
    """ARN of the IAM OIDC provider of that issuer; its account is the roles' own. Needed with `aws`."""
    policies: tuple[PolicyArn, ...] = ()
    """ARNs of policies that are attached to every role, beside those that an event asks for."""
    call_timeout_s: Annotated[float, Field(gt=0, le=120)] = 10.0
    """The longest that one call may take, in seconds; IAM answers within one. What remains of the lease shortens it
    further."""
    max_session_s: Annotated[int, Field(ge=3600, le=43200)] = 3600
    """The longest session that a workload may ask for, in seconds: AWS' own default of an hour, which SDKs renew."""
    page_size: Annotated[int, Field(ge=1, le=1000)] = 100
    """Items per page of a listing: as many as IAM gives unless asked."""
    parallel_reads: Annotated[int, Field(ge=1, le=50)] = 4
    """Calls at once while all roles are read: IAM's rates are low, and shared by the whole account."""

    @model_validator(mode="after")
    def _issuer_is_known(self) -> Self:
        if self.provider == "aws":
            self.oidc_provider()
        return self

    def oidc_provider(self) -> OidcProvider:
        """The cluster's issuer. Raises ValueError when it is not set, or the two settings name different ones."""
        if self.oidc_issuer_url is None or self.oidc_provider_arn is None:
            raise ValueError("provider aws needs oidc_issuer_url and oidc_provider_arn")
        issuer = self.oidc_issuer_url.removeprefix("https://").rstrip("/")
        if self.oidc_provider_arn.partition(":oidc-provider/")[2] != issuer:
            raise ValueError(f"oidc_provider_arn is not of the issuer {issuer}: it must end in oidc-provider/{issuer}")
        return OidcProvider(issuer, self.oidc_provider_arn)
