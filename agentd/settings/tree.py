"""The tree itself, and its leaves."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from agentd.audit.config import AuditConfig
from agentd.bus.config import BusConfig
from agentd.core import AwsConfig, AzureConfig, Config
from agentd.dispatch.config import DispatchConfig
from agentd.dispatch.policy.config import BudgetConfig, PolicyConfig
from agentd.events.config import SignaturesConfig
from agentd.events.envelope import Uuid
from agentd.ledger.config import LedgerConfig
from agentd.platform.config import AirflowConfig, ArtifactsConfig, ClusterConfig, IdentitiesConfig, RegistryConfig
from agentd.reconcile.config import ShardsConfig, StateConfig
from agentd.reconcile.drift.config import DriftConfig
from agentd.reports.config import ReportsConfig
from agentd.telemetry.config import TelemetryConfig
from proxy.config import ProxyConfig

Json = Any  # a JSON value, or a file's content before it has been looked at

PREFIX = "AGENTD_"
CONFIG_VARIABLE = "AGENTD_CONFIG"

QueueUrl = Annotated[
    str, StringConstraints(pattern=r"^(?:(?:azure\+)?https?://\S+|file:///\S+\?name=\S+)$", max_length=2048)
]
"""The scheme says which kind of queue it is."""


class CommandsConfig(Config):
    """The queue that events come from."""

    queue_url: QueueUrl
    """URL of the commands queue: that of SQS, `https://ACCOUNT.queue.core.windows.net/NAME`, or `file:///FOLDER/FILE?name=NAME`."""
    dead_letter_queue_url: QueueUrl | None = None
    """URL of the queue for what failed or was rejected. When not given: on SQS the one that the commands queue's redrive policy
    names, elsewhere the one named like the commands queue with `-dead-letters` behind it."""


class DrainConfig(Config):
    """How the daemon stops when it is told to."""

    grace_s: float = Field(default=25.0, ge=0, le=3600)
    """Seconds for running events to finish; below the 30 s that Fargate and Kubernetes give by default."""
    flush_s: float = Field(default=2.0, ge=0, le=600)
    """Seconds after that for the last reports to go out; what does not is sent by the next start."""
    hard_exit_s: float = Field(default=29.0, gt=0, le=7200)
    """Seconds from the signal to a hard exit, should the drain hang: before the platform kills the process."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.hard_exit_s < self.grace_s + self.flush_s:
            raise ValueError("hard_exit_s must not be below grace_s and flush_s together")
        return self


class Settings(BaseSettings):
    """The whole tree. Made by `load`; the constructor itself reads neither environment nor file."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        env_prefix=PREFIX,
        env_nested_delimiter="__",
    )

    tenant_id: Uuid
    """The tenant that this agent serves; events for another one are rejected."""
    cluster_id: Uuid
    """The cluster that this agent serves; events for another one are rejected. All its replicas have the same."""
    owner_id: str = Field(
        default_factory=lambda earlier: earlier["cluster_id"],
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$",
    )
    """Marks objects as this agent's own. The cluster's id when not given; never change it, or the agent disowns what it
    made. Its form fits an ECR tag and a Kubernetes label alike."""
    source: str = Field(
        default_factory=lambda earlier: f"urn:conveyor:agent:{earlier['cluster_id']}", min_length=1, max_length=2048
    )
    """URI of this agent, the CloudEvents source of its reports. `urn:conveyor:agent:<cluster_id>` when not given."""
    reports_queue_url: QueueUrl
    """URL of the queue that reports go to."""
    aws: AwsConfig = AwsConfig()
    azure: AzureConfig = AzureConfig()
    commands: CommandsConfig
    bus: BusConfig = BusConfig()
    ledger: LedgerConfig = LedgerConfig()
    dispatch: DispatchConfig = DispatchConfig()
    signatures: SignaturesConfig = SignaturesConfig()
    policy: PolicyConfig = PolicyConfig()
    budget: BudgetConfig = BudgetConfig()
    reports: ReportsConfig = ReportsConfig()
    shards: ShardsConfig = ShardsConfig()
    drift: DriftConfig = DriftConfig()
    state: StateConfig = StateConfig()
    audit: AuditConfig = AuditConfig()
    registry: RegistryConfig = RegistryConfig()
    artifacts: ArtifactsConfig = ArtifactsConfig()
    cluster: ClusterConfig = ClusterConfig()
    identities: IdentitiesConfig = IdentitiesConfig()
    airflow: AirflowConfig = AirflowConfig()
    proxy: ProxyConfig = ProxyConfig()
    telemetry: TelemetryConfig = TelemetryConfig()
    drain: DrainConfig = DrainConfig()

    @model_validator(mode="after")
    def _what_is_sent_again_is_known(self) -> Self:
        if (
            self.signatures.has_keys
            and self.signatures.max_age_s + self.signatures.clock_skew_s > self.ledger.retention_s
        ):
            raise ValueError(
                "signatures.max_age_s and signatures.clock_skew_s together must not exceed ledger.retention_s: "
                "an event that the ledger has forgotten would be believed a second time"
            )
        return self

    @model_validator(mode="after")
    def _what_is_asked_of_itself_is_believed(self) -> Self:
        if self.drift.repair and self.signatures.required and self.reports.signing_key_file is None:
            raise ValueError(
                "drift.repair needs reports.signing_key_file when signatures are required: "
                "the agent signs the events by which it repairs with it"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_others: Json, **_named: Json
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments alone: what is read from where is `load`'s business."""
        return (init_settings,)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One setting: its path in the tree, and its declaration."""

    path: tuple[str, ...]
    field: FieldInfo

    @property
    def key(self) -> str:
        """The dotted key."""
        return ".".join(self.path)

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return variable_of(self.key)


def leaves(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Every setting of the model and of its groups, in order."""
    for name, field in model.model_fields.items():
        if is_group(field) and isinstance(field.annotation, type):
            yield from leaves(field.annotation, (*path, name))
        else:
            yield Leaf((*path, name), field)


def is_group(field: FieldInfo) -> bool:
    """Whether the field is a group of settings rather than one."""
    return isinstance(field.annotation, type) and issubclass(field.annotation, Config)


def groups_in(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The groups that a model is made of, by name."""
    return {
        name: field.annotation
        for name, field in model.model_fields.items()
        if isinstance(field.annotation, type) and is_group(field)
    }


def variable_of(key: str) -> str:
    """The environment variable of a dotted key."""
    return PREFIX + key.replace(".", "__").upper()
