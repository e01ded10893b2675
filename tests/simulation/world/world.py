"""A cloud account and a cluster in memory, on the event loop's clock: slow, failing, forgetful, and all of it from a seed."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

from agentd.core import Runtime
from agentd.platform import AirflowDefaults, Cluster, ClusterDefaults, Identities, ImageRegistry, RepositoryDefaults
from agentd.platform.aws.ecr import EcrRegistry
from agentd.platform.aws.iam import IamIdentities
from agentd.platform.config import ClusterConfig, IdentitiesConfig, RegistryConfig
from agentd.platform.kubernetes import KubernetesCluster
from agentd.telemetry import Metrics
from tests.simulation.world import cluster_client, ecr, iam
from tests.simulation.world.aws import ACCOUNT, Client
from tests.simulation.world.faults import ECR, HEALTHY, IAM, KUBERNETES, Fault, Faults
from tests.simulation.world.gate import Gate, Watcher, Weather
from tests.simulation.world.kube import Kube, Pace
from tests.simulation.world.memo import Memo
from tests.simulation.world.people import People
from tests.simulation.world.truth import Books, Seen, Write
from tests.virtual_time import WallClock

if TYPE_CHECKING:
    from types_aiobotocore_ecr import ECRClient
    from types_aiobotocore_iam import IAMClient

_ISSUER = "oidc.simulated/id/1"


def _identities() -> IdentitiesConfig:
    return IdentitiesConfig(
        provider="aws",
        oidc_issuer_url=f"https://{_ISSUER}",
        oidc_provider_arn=f"arn:aws:iam::{ACCOUNT}:oidc-provider/{_ISSUER}",
    )


@dataclass(frozen=True)
class WorldSettings:
    """One installation, and how quick its providers are."""

    owner_id: str = "owner-1"
    tenant_id: str = "tenant-1"
    latency_s: tuple[float, float] = (0.005, 0.15)
    """Of a call that nothing happens to."""
    pace: Pace = field(default_factory=Pace)
    delete_wait_s: float = 4.0
    """See ClusterDefaults. A wait that is too short costs the agent some fifty calls to find out what is in its way."""
    registry: RegistryConfig = field(default_factory=RegistryConfig)
    identities: IdentitiesConfig = field(default_factory=_identities)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)

    def cluster_defaults(self) -> ClusterDefaults:
        """What handlers need of the cluster's settings."""
        return ClusterDefaults(
            system_namespace=self.cluster.system_namespace,
            tenant_id=self.tenant_id,
            delete_wait_s=self.delete_wait_s,
        )


USUAL = WorldSettings()
SHARED = Memo(4096)
"""What servers have worked out in this process; no run can tell whether another one was first."""


class World:
    """An async context manager, of a running loop. What replicas see of it is behind `ports`; the rest is the truth."""

    def __init__(
        self, seed: int, faults: Faults = HEALTHY, settings: WorldSettings = USUAL, memo: Memo = SHARED
    ) -> None:
        self.settings = settings
        self._books = Books()
        self._weather = Weather(seed, faults, settings.latency_s)
        clock = WallClock()
        self._ecr = ecr.Ecr(self._books, clock.now)
        self._iam = iam.Iam(self._books, clock.now)
        dice = self._weather.dice(KUBERNETES)
        self._kube = Kube(self._books, clock.now, dice, settings.pace, memo)
        self._acting: asyncio.Task[None]
        self.people = People(settings, self._ecr, self._iam, self._kube)

    async def __aenter__(self) -> Self:
        self._acting = asyncio.create_task(self._kube.controllers().run(), name="controllers")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Raises what a controller has failed with."""
        self._acting.cancel()
        await asyncio.wait([self._acting])
        if not self._acting.cancelled():
            self._acting.result()

    def ports(self, replica: str, *, metrics: Metrics, runtime: Runtime) -> Mapping[type, object]:
        """The adapters of one incarnation of a replica, by port."""
        config = self.settings
        ecr_gate = Gate(self._weather, replica, ECR, ecr.SAYS)
        iam_gate = Gate(self._weather, replica, IAM, iam.SAYS)
        kube_gate = Gate(self._weather, replica, KUBERNETES, cluster_client.says)
        registry = EcrRegistry(
            reads=cast("ECRClient", Client(self._ecr.operations(), ecr_gate, retries=True)),
            writes=cast("ECRClient", Client(self._ecr.operations(), ecr_gate, retries=False)),
            config=config.registry,
            owner_id=config.owner_id,
            metrics=metrics,
            runtime=runtime,
        )
        identities = IamIdentities(
            reads=cast("IAMClient", Client(self._iam.operations(), iam_gate, retries=True)),
            writes=cast("IAMClient", Client(self._iam.operations(), iam_gate, retries=False)),
            config=config.identities,
            owner_id=config.owner_id,
            metrics=metrics,
            runtime=runtime,
        )
        connection = cluster_client.connect(self._kube, kube_gate)
        cluster = KubernetesCluster(connection, config.cluster, metrics=metrics, runtime=runtime)
        return {
            ImageRegistry: registry,
            RepositoryDefaults: config.registry.defaults(),
            Cluster: cluster,
            ClusterDefaults: config.cluster_defaults(),
            AirflowDefaults: AirflowDefaults(),
            Identities: identities,
        }

    # -- the truth -----------------------------------------------------------------------------------------------------

    @property
    def writes(self) -> Sequence[Write]:
        """Every mutating call that a server took up, in the order of the effects."""
        return self._books.writes

    def listen(self, listener: Callable[[Write], None]) -> None:
        """Call this at the moment of every write."""
        self._books.listen(listener)

    def watch(self, watcher: Watcher) -> None:
        """Call this when somebody makes a mutating call, and when he waits for its answer no more."""
        self._weather.watchers.append(watcher)

    @property
    def calls(self) -> Counter[tuple[str, str]]:
        """How many calls of each service and operation were made."""
        return self._weather.calls

    @property
    def met(self) -> Counter[Fault]:
        """How many calls each fault has met."""
        return self._weather.met

    @property
    def pending(self) -> int:
        """Effects that are on their way although their callers have gone."""
        return self._weather.pending

    def objects(self) -> Mapping[str, Seen]:
        """Everything with an owner's mark, by name as fences spell it."""
        every = (*self._ecr.seen(), *self._iam.seen(), *self._kube.seen())
        return {seen.obj: seen for seen in every if seen.marks.owner_id is not None}

    def snapshot(self) -> Mapping[str, Mapping[str, object]]:
        """The agent's own objects by subject and name, without stamps: equal for two runs that came to the same."""
        subjects: dict[str, dict[str, object]] = {}
        for obj, seen in sorted(self.objects().items()):
            if seen.marks.owner_id == self.settings.owner_id and seen.marks.subject is not None:
                subjects.setdefault(seen.marks.subject, {})[obj] = {"terminating": seen.terminating, **seen.content}
        return subjects

    def disturbed(self) -> Sequence[str]:
        """Objects that somebody else has planted, and that are not as he left them."""
        return self.people.disturbed()
