"""What the registry's tests share: servers to run against, a fence that remembers, and a customer's hands."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import uuid4

import pytest
from types_aiobotocore_ecr import ECRClient

from agentd.core import AwsConfig, LeaseLost, Subject, system_runtime
from agentd.embedded import EmbeddedCloud
from agentd.platform.aws.ecr import EcrRegistry
from agentd.platform.aws.session import AwsSession
from agentd.platform.config import RegistryConfig
from agentd.telemetry import Metrics
from tests.servers.processes import CREDENTIALS, REGION, run_moto

INDEX = "application/vnd.oci.image.index.v1+json"


def new_subject(kind: str = "project") -> Subject:
    return Subject(kind, str(uuid4()))


@dataclass
class RecordingFence:
    """A valid lease, until `lost` is set; remembers what it was asked."""

    subject: Subject
    owner_id: str
    generation: int = 1
    event_id: str = field(default_factory=lambda: str(uuid4()))
    lease_s: float = 5.0
    lost: bool = False
    asked: list[tuple[str, bool]] = field(default_factory=list)
    destroyed: set[str] = field(default_factory=set)

    async def before_write(self, obj: str, *, stamp: bool = False, destroys: bool = False) -> float:
        if self.lost:
            raise LeaseLost(f"{obj}: the lease is lost")
        self.asked.append((obj, stamp))
        if destroys:
            self.destroyed.add(obj)
        return self.lease_s

    @property
    def changed(self) -> bool:
        """What the ledger would record."""
        return any(not stamp for _, stamp in self.asked)


@dataclass
class Hands:
    """What people and pipelines do to a registry beside the agent."""

    ecr: ECRClient

    async def push(self, repository: str, *tags: str) -> str:
        """Push an image with these tags; its digest."""
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {
                    "mediaType": "application/vnd.oci.image.config.v1+json",
                    "digest": f"sha256:{'0' * 64}",
                    "size": 2,
                },
                "layers": [
                    {
                        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                        "digest": f"sha256:{sha256(str(uuid4()).encode()).hexdigest()}",
                        "size": 2,
                    }
                ],
            }
        )
        return await self._put(repository, manifest, tags)

    async def push_index(self, repository: str, *tags: str) -> str:
        """Push an image for two platforms; its digest."""
        platforms = [await self.push(repository, f"{tags[0]}-{platform}") for platform in ("amd64", "arm64")]
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": INDEX,
                "manifests": [
                    {
                        "mediaType": "application/vnd.oci.image.manifest.v1+json",
                        "digest": digest,
                        "size": 2,
                        "platform": {"architecture": platform, "os": "linux"},
                    }
                    for digest, platform in zip(platforms, ("amd64", "arm64"), strict=True)
                ],
            }
        )
        return await self._put(repository, manifest, tags)

    async def _put(self, repository: str, manifest: str, tags: Sequence[str]) -> str:
        digest = f"sha256:{sha256(manifest.encode()).hexdigest()}"
        media_type = json.loads(manifest)["mediaType"]
        for tag in tags:
            await self.ecr.put_image(
                repositoryName=repository,
                imageManifest=manifest,
                imageManifestMediaType=media_type,
                imageDigest=digest,
                imageTag=tag,
            )
        return digest

    async def untag(self, repository: str, tag: str) -> None:
        """Take one tag off an image."""
        await self.ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": tag}])

    async def create(self, name: str, **tags: str) -> None:
        """Create a repository by hand."""
        tag_list = [{"Key": key.replace("__", "/"), "Value": value} for key, value in tags.items()]
        await self.ecr.create_repository(repositoryName=name, tags=tag_list)  # type: ignore[arg-type]

    async def names(self) -> list[str]:
        """Repositories there are."""
        return [found["repositoryName"] for found in (await self.ecr.describe_repositories())["repositories"]]


@dataclass
class Bench:
    """One adapter on one server, with a prefix and an owner of its own."""

    registry: EcrRegistry
    config: RegistryConfig
    owner_id: str
    metrics: Metrics
    hands: Hands

    def name(self, name: str = "app") -> str:
        return self.config.defaults().name("project", name)

    def fence(self, subject: Subject | None = None, generation: int = 1) -> RecordingFence:
        return RecordingFence(subject or new_subject(), self.owner_id, generation)


@asynccontextmanager
async def bench(session: AwsSession, owner_id: str | None = None, **settings: object) -> AsyncIterator[Bench]:
    """An adapter whose names nobody else uses."""
    prefix = f"test-{uuid4().hex[:12]}/data-plane"
    config = RegistryConfig.model_validate({"repository_prefix": prefix, **settings})
    owner = owner_id or f"owner-{uuid4()}"
    metrics = Metrics()
    writes = await session.ecr(retries=False)
    registry = EcrRegistry(
        reads=await session.ecr(retries=True),
        writes=writes,
        config=config,
        owner_id=owner,
        metrics=metrics,
        runtime=system_runtime(),
    )
    yield Bench(registry, config, owner, metrics, Hands(writes))


@asynccontextmanager
async def ministack() -> AsyncIterator[str]:
    async with EmbeddedCloud.start() as cloud:
        yield cloud.endpoint_url


@asynccontextmanager
async def moto() -> AsyncIterator[str]:
    with run_moto() as server:
        yield server.endpoint_url


@asynccontextmanager
async def aws_session(endpoint_url: str) -> AsyncIterator[AwsSession]:
    """With credentials that every emulator takes."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in CREDENTIALS.items():
            environment.setenv(name, value)
        async with AwsSession(AwsConfig(endpoint_url=endpoint_url, region=REGION)) as session:
            yield session
