"""Events of environments. An environment is a namespace with its own Airflow.

What is desired of one has four facets: that it exists, its `spec`, its `projects` (which build of which project), and its
`power`. Every event carries the whole of the facets that it sets, never a delta.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from agentd.core import Lock, LockMode, Subject
from agentd.events.data import EventData, IdentityTemplate, ProjectName
from agentd.events.envelope import SHA256_PATTERN, Uuid

EXISTENCE = "existence"
SPEC = "spec"
PROJECTS = "projects"
POWER = "power"

# Namespaces that clusters and this agent itself need. Source: the namespaces of every Kubernetes cluster.
_RESERVED = frozenset({"default"})

# A Kubernetes quantity that is not negative. Source: the serialisation format of resource.Quantity.
_QUANTITY = r"^[0-9]+(\.[0-9]{1,3})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"


def _not_reserved(name: str) -> str:
    if name in _RESERVED:
        raise ValueError("is a namespace of the cluster itself; choose another name")
    return name


EnvironmentName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]+$", max_length=63),
    AfterValidator(_not_reserved),
    Field(examples=["dev"]),
]
Quantity = Annotated[str, StringConstraints(pattern=_QUANTITY, max_length=32), Field(examples=["64Gi"])]
Cidr = Annotated[
    str,
    StringConstraints(pattern=r"^([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}$|^[0-9a-f:]+/[0-9]{1,3}$", max_length=64),
    Field(examples=["10.0.0.0/8"]),
]
Identity = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
AirflowVersion = Annotated[
    str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+){0,2}$", max_length=16), Field(examples=["3"])
]


class _Part(BaseModel):
    """A part of an event's data: strict as the whole."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", use_attribute_docstrings=True)


class InstanceLifecycle(StrEnum):
    """Which machines Airflow's own processes run on."""

    SPOT = "spot"
    ON_DEMAND = "on-demand"


class CoreConfiguration(_Part):
    """Airflow's `[core]`."""

    parallelism: Annotated[int, Field(ge=1, le=10_000)] = 128
    """Tasks that run at once in the whole environment."""
    max_active_tasks_per_dag: Annotated[int, Field(ge=1, le=10_000)] = 32
    """Tasks of one DAG that run at once."""


class WebserverConfiguration(_Part):
    """Airflow's web interface."""

    navbar_color: Annotated[str, StringConstraints(pattern=r"^#([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})$")] = "#fff"
    """Colour of the navigation bar, as `#rgb` or `#rrggbb`."""


class SecretName(_Part):
    """One secret of the secrets backend, a JSON object."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    """The secret's name."""
    keyvault: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None
    """The Key Vault that holds it; on Azure alone."""


class SecretsBackend(_Part):
    """Where Airflow looks up connections and variables; it does so with the environment's identity."""

    enabled: bool
    """Whether it is used."""
    connection: SecretName | None = None
    """The connections, by connection id."""
    variable: SecretName | None = None
    """The variables, by name."""


class AirflowConfiguration(_Part):
    """What users may set of Airflow."""

    core: CoreConfiguration = CoreConfiguration()
    """Limits of tasks."""
    webserver: WebserverConfiguration = WebserverConfiguration()
    """The web interface."""
    secret: SecretsBackend | None = None
    """The secrets backend; needs `iam_identity`."""


class Quotas(_Part):
    """What the environment may use of the cluster in all: requests for compute, and numbers of objects."""

    cpu: Quantity = "64"
    """CPU cores requested."""
    memory: Quantity = "256Gi"
    """Memory requested."""
    storage: Quantity = "1Ti"
    """Storage of all volume claims."""
    pods: Annotated[int, Field(ge=1, le=100_000)] = 500
    """Pods at once."""


class EgressRule(_Part):
    """Where pods may connect to, beside the cluster's DNS, the API server and each other."""

    cidr: Cidr
    """The addresses."""
    ports: Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], Field(max_length=50)] = ()
    """The TCP ports; all of them when none is given."""


class NetworkEgress(_Part):
    """What pods may connect to."""

    internet: bool = True
    """Everything outside private address ranges."""
    allow: Annotated[tuple[EgressRule, ...], Field(max_length=100)] = ()
    """More than that: databases, endpoints in the customer's network."""


class EnvironmentSpec(_Part):
    """The whole environment but for its projects and its power."""

    airflow_version: AirflowVersion = "3"
    """Airflow's version, or the beginning of it. Version 2 has reached its end and is refused."""
    airflow_configuration: AirflowConfiguration = AirflowConfiguration()
    """What users may set of Airflow."""
    instance_lifecycle: InstanceLifecycle = InstanceLifecycle.SPOT
    """Which machines Airflow's own processes run on; jobs choose for themselves."""
    iam_identity: Identity | None = None
    """Identity of Airflow's processes: a role's name or ARN on AWS. The agent's own, if it makes any, when not given."""
    deletion_protection: bool = False
    """The environment cannot be deleted before this has been lifted."""
    quotas: Quotas = Quotas()
    """What it may use of the cluster."""
    network_egress: NetworkEgress = NetworkEgress()
    """What its pods may connect to."""
    description: Annotated[str, StringConstraints(max_length=2000)] | None = None
    """For people."""

    @model_validator(mode="after")
    def _secrets_need_an_identity(self) -> Self:
        secret = self.airflow_configuration.secret
        if secret is not None and secret.enabled and self.iam_identity is None:
            raise ValueError("airflow_configuration.secret needs iam_identity: the secrets are read with it")
        return self


class DeploymentAction(StrEnum):
    """What becomes of a project in an environment."""

    NONE = "none"
    """It stays deployed as the event says: nothing is to do if it is so already."""
    UPDATE = "update"
    """This build is deployed."""
    DELETE = "delete"
    """It is undeployed; so is every project that the event does not list."""


class ProjectDeployment(_Part):
    """One project in the environment."""

    project_id: Uuid
    """The project."""
    project_name: ProjectName
    """Its name."""
    build_id: Uuid
    """The build: the image's tag in the project's repository."""
    deployment_id: Uuid | None = None
    """The control plane's own name for this deployment."""
    image_digest: Annotated[str, StringConstraints(pattern=SHA256_PATTERN)] | None = None
    """The image that the build must be; not checked when not given."""
    action: DeploymentAction = DeploymentAction.UPDATE
    """What becomes of it."""
    identity: IdentityTemplate | None = None
    """Identity of the project's jobs here, over `{{ .Env }}`; the project's default when not given."""


WholeSpec = Annotated[EnvironmentSpec, Field(examples=[{"airflow_version": "3", "deletion_protection": True}])]

_EXAMPLE_PROJECT = {
    "project_id": "5a0b7d0e-7c0f-4b5e-9f62-6a9d4c1c2b10",
    "project_name": "team-orders",
    "build_id": "c2f9d8a4-3b51-4f0c-8f3e-9a1b7e6d5c42",
    "action": "update",
}


class _EnvironmentEvent(EventData):
    environment_id: Uuid
    """The environment's id; the same as in `subject`."""
    environment_name: EnvironmentName
    """Lower case and digits: the name of the namespace."""

    def names(self) -> tuple[tuple[str, str], ...]:
        return (("namespace", self.environment_name),)


class EnvironmentCreate(_EnvironmentEvent):
    """Create an environment."""

    type = "conveyor.environment.create.v1"
    facets = frozenset({EXISTENCE, SPEC})
    creates = True

    spec: EnvironmentSpec = EnvironmentSpec()
    """The whole environment."""

    def desired(self) -> dict[str, Any]:
        return {EXISTENCE: True, SPEC: self.spec.model_dump(mode="json")}


class EnvironmentUpdate(_EnvironmentEvent):
    """Change an environment. Waits for its creation."""

    type = "conveyor.environment.update.v1"
    facets = frozenset({SPEC})
    requires = frozenset({EXISTENCE})

    spec: WholeSpec
    """The whole environment; never a delta."""

    def desired(self) -> dict[str, Any]:
        return {SPEC: self.spec.model_dump(mode="json")}


class EnvironmentDeploy(_EnvironmentEvent):
    """Bring an environment and everything deployed in it to what the event says: whatever it does not list is undeployed."""

    type = "conveyor.environment.deploy.v1"
    facets = frozenset({SPEC, PROJECTS})
    requires = frozenset({EXISTENCE})

    spec: WholeSpec
    """The whole environment; never a delta."""
    projects: Annotated[tuple[ProjectDeployment, ...], Field(max_length=1000, examples=[[_EXAMPLE_PROJECT]])]
    """Every project in it."""

    @model_validator(mode="after")
    def _each_project_once(self) -> Self:
        for field in ("project_id", "project_name"):
            seen: set[str] = set()
            for project in self.projects:
                value = getattr(project, field)
                if value in seen:
                    raise ValueError(f"projects: {field} {value} is listed twice")
                seen.add(value)
        clashes = {project.project_name.replace("_", ".") for project in self.projects}
        if len(clashes) != len(self.projects):
            raise ValueError("projects: two names differ in nothing that a Kubernetes name can show")
        return self

    def locks(self) -> tuple[Lock, ...]:
        subjects = [Subject("project", project.project_id) for project in self.projects]
        subjects += [Subject("build", project.build_id) for project in self.projects]
        return tuple(Lock(subject, LockMode.READ) for subject in sorted(set(subjects)))

    def desired(self) -> dict[str, Any]:
        return {
            SPEC: self.spec.model_dump(mode="json"),
            PROJECTS: [project.model_dump(mode="json") for project in self.projects],
        }


class EnvironmentHibernate(_EnvironmentEvent):
    """Stop everything that the environment runs, and keep everything that it has."""

    type = "conveyor.environment.hibernate.v1"
    facets = frozenset({POWER})
    requires = frozenset({EXISTENCE})

    def desired(self) -> dict[str, Any]:
        return {POWER: Power.HIBERNATED.value}


class EnvironmentWake(_EnvironmentEvent):
    """Start again what hibernation has stopped."""

    type = "conveyor.environment.wake.v1"
    facets = frozenset({POWER})
    requires = frozenset({EXISTENCE})

    def desired(self) -> dict[str, Any]:
        return {POWER: Power.AWAKE.value}


class EnvironmentReconcile(_EnvironmentEvent):
    """Bring an environment and everything deployed in it back to what is desired of it already. Nothing new is desired."""

    type = "conveyor.environment.reconcile.v1"
    requires = frozenset({EXISTENCE})
    reconciles = True

    @classmethod
    def about(cls, subject: Subject, names: Mapping[str, str]) -> Self:
        return cls(environment_id=subject.uuid, environment_name=names["namespace"])


class EnvironmentUnlock(_EnvironmentEvent):
    """Break the environment's lock if its holder is dead; refused while a live one renews it."""

    type = "conveyor.environment.unlock.v1"
    requires = frozenset({EXISTENCE})


class EnvironmentDelete(_EnvironmentEvent):
    """Delete an environment with everything in it. Refused while it is protected."""

    type = "conveyor.environment.delete.v1"
    facets = frozenset({EXISTENCE})
    deletes = True


class Power(StrEnum):
    """Whether an environment runs."""

    AWAKE = "awake"
    HIBERNATED = "hibernated"
