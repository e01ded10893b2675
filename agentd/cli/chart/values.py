"""The values of the chart, each with its default and its meaning. The chart's templates read them; nothing else does."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Json = Any  # a part of a Kubernetes object, checked by the API server
_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"


class Group(BaseModel):
    """A group of values. An unknown one is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, alias_generator=to_camel, populate_by_name=True
    )


class Image(Group):
    """The agent's image: build it from the Dockerfile, and push it where the cluster's nodes can pull it."""

    repository: str = Field(default="", min_length=1)
    """Registry and repository. Has to be given: there is no public image."""
    tag: str = ""
    """The chart's appVersion when empty."""
    digest: str = Field(default="", pattern=r"^(sha256:[0-9a-f]{64})?$")
    """Pins the image; goes before the tag."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When nodes pull it."""
    pull_secrets: tuple[str, ...] = ()
    """Names of Secrets with credentials of the registry."""


class Identity(Group):
    """Who the agent is in the cloud."""

    kind: Literal["none", "irsa", "pod_identity", "azure"] = "none"
    """`irsa`: an IAM role for the service account. `pod_identity`: the same by an association that you make in EKS. `azure`:
    workload identity. `none`: whatever the node, or a mounted file, gives it."""
    role_arn: str = ""
    """The IAM role, for `irsa`."""
    client_id: str = ""
    """The managed identity's client id, for `azure`."""


class ServiceAccount(Group):
    """Who the agent is in the cluster."""

    create: bool = True
    """Make one; else `name` has to be there."""
    name: str = ""
    """The release's name when empty."""
    annotations: dict[str, str] = {}
    """Beside those that follow from `identity`."""


class Rbac(Group):
    """The agent's rights in the cluster: exactly what its handlers declare (`agentd schema permissions -o rbac`)."""

    create: bool = True
    """Make the roles and bind them. They are only made when `settings.cluster.access` is `in_cluster`."""


class Storage(Group):
    """The volume of a ledger in SQLite, and of the audit log beside it. For one replica; others keep nothing on disk."""

    size: str = Field(default="10Gi", pattern=r"^[0-9]+(Ki|Mi|Gi|Ti)$")
    """Of the claim that is made. It stays when the release is uninstalled."""
    storage_class: str = ""
    """The cluster's default when empty. It must be a disk, not a network file system."""
    existing_claim: str = ""
    """Name of a claim that is there; none is made then."""


class Mount(Group):
    """Files from elsewhere, by reference: keys, a policy, a volume for copies. One of `secret`, `configMap` and `claim`."""

    name: str = Field(pattern=_NAME, max_length=63)
    """Of the volume."""
    path: str = Field(pattern=r"^/.+$")
    """The folder that the files are in."""
    secret: str = ""
    """Name of a Secret."""
    config_map: str = ""
    """Name of a ConfigMap."""
    claim: str = ""
    """Name of a PersistentVolumeClaim, which is mounted to be written to."""


class Proxy(Group):
    """The gRPC proxy, on the network: with mutual TLS alone."""

    enabled: bool = False
    """Serve it, with a Service."""
    tls_secret: str = ""
    """Name of a Secret with `tls.crt`, `tls.key` and `ca.crt`, the authority of callers' certificates; cert-manager makes
    such ones. Renewed files are taken up without a restart."""
    port: int = Field(default=50051, ge=1, le=65535)
    """Of the pod and the Service."""


class ServiceMonitor(Group):
    """For the Prometheus operator, which has to be there."""

    enabled: bool = False
    """Make one."""
    interval: str = Field(default="30s", pattern=r"^[0-9]+[smh]$")
    """Between two scrapes."""
    labels: dict[str, str] = {}
    """By which your Prometheus finds it."""


class PrometheusRule(Group):
    """Alerts for the Prometheus operator, which has to be there."""

    enabled: bool = False
    """Make one, of `files/alerts.yaml`."""
    labels: dict[str, str] = {}
    """By which your Prometheus finds it."""


class MetricsValues(Group):
    """Metrics, health and status."""

    port: int = Field(default=9464, ge=1024, le=65535)
    """Of the pod and the Service."""
    service_monitor: ServiceMonitor = ServiceMonitor()
    prometheus_rule: PrometheusRule = PrometheusRule()


class NetworkPolicyValues(Group):
    """Who may talk to the agent, and to whom it may."""

    enabled: bool = False
    """Make one. Out go DNS, TCP to the ports 443 and 6443, and calls to environments' Airflow; in comes
    what is given here."""
    metrics_from: tuple[Json, ...] = ()
    """Peers that may scrape, as in a NetworkPolicy's `from`; everybody in the cluster when empty."""
    proxy_from: tuple[Json, ...] = ()
    """Peers that may call the proxy; everybody when empty: it asks for certificates anyway."""
    egress: tuple[Json, ...] = ()
    """Further rules for what goes out, such as to an emulator or a collector of traces."""


class Resources(Group):
    """By what docs/performance.md measured: 116 MiB at rest, 140 MiB with 1,000 events in flight, 80 ms of CPU a minute at rest,
    a CPU second for 850 events. No limit of CPU: one would only slow a burst down."""

    requests: dict[str, str | int] = {"cpu": "100m", "memory": "192Mi"}
    """What a node has to have left."""
    limits: dict[str, str | int] = {"memory": "512Mi"}
    """What it gets at most."""


class Scheduling(Group):
    """Where pods run. Replicas keep to different nodes and zones if they can."""

    node_selector: dict[str, str] = {}
    """Labels of nodes."""
    tolerations: tuple[Json, ...] = ()
    """Taints that do not matter."""
    affinity: dict[str, Json] = {}
    """In place of the chart's own."""
    priority_class_name: str = ""
    """The cluster's default when empty."""


class Values(Group):
    """All of them."""

    name_override: str = Field(default="", max_length=40)
    """In place of the release's name, in names of objects."""
    replicas: int = Field(default=2, ge=0, le=20)
    """Several need a ledger that they share: `settings.ledger.kind` `dynamodb` or `azure_table`. With `sqlite` there can be
    one, on a volume."""
    settings: dict[str, Json] = {}
    """The agent's own settings, as in docs/settings.md and `deploy/settings/`. `tenant_id`, `cluster_id` and the queues have to
    be given. What the chart decides (ports, paths, the proxy's files, the system namespace) cannot be."""
    image: Image = Image()
    identity: Identity = Identity()
    service_account: ServiceAccount = ServiceAccount()
    rbac: Rbac = Rbac()
    storage: Storage = Storage()
    mounts: tuple[Mount, ...] = ()
    """Files from Secrets, ConfigMaps and volumes: `name`, `path`, and one of `secret`, `configMap` and `claim`."""
    env: dict[str, str] = {}
    """Environment variables such as HTTPS_PROXY. Not for secrets, and not for AGENTD_*: those are `settings`."""
    proxy: Proxy = Proxy()
    metrics: MetricsValues = MetricsValues()
    network_policy: NetworkPolicyValues = NetworkPolicyValues()
    resources: Resources = Resources()
    scheduling: Scheduling = Scheduling()
    pod_labels: dict[str, str] = {}
    """Further labels of pods."""
    pod_annotations: dict[str, str] = {}
    """Annotations of pods."""
