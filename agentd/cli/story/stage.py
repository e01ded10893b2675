"""What the story can reach besides the queues: the account and the cluster, as their owner would."""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiobotocore.session import AioSession

from agentd.bus import DeadLetters
from agentd.cli.cluster_owner import HOLD, ClusterOwner, cluster_owner
from agentd.cli.errors import StackError
from agentd.cli.stack import Stack, open_queues
from agentd.cli.story.acts import id_of
from agentd.core import Runtime
from agentd.embedded import Fault, FaultKind
from agentd.ledger import LedgerConfig
from agentd.ledger.sqlite import SqliteLedger

if TYPE_CHECKING:
    from aiobotocore.session import ClientCreatorContext
    from types_aiobotocore_ecr.client import ECRClient

_DEAD_LETTER_S = 30.0
_WAITING_S = 30.0
_PREFIX = "conveyor/data-plane"


@dataclass(frozen=True, slots=True)
class Stage:
    """What the story can reach besides the queues: the cloud's account, as its owner would."""

    stack: Stack
    runtime: Runtime

    async def trouble(self) -> None:
        """The registry throttles `gamma`, and somebody has taken the place of `delta`."""
        await self.throttle_twice()
        await self.occupy()

    async def throttle_twice(self) -> None:
        """The registry refuses the next two calls that create the repository `gamma`."""
        await self.stack.cloud.inject(
            Fault(
                kind=FaultKind.ERROR,
                service="ecr",
                operation="CreateRepository",
                contains=f"{_PREFIX}/project/gamma",
                times=2,
                code="ThrottlingException",
                message="Rate exceeded",
            )
        )

    async def occupy(self) -> None:
        """Somebody else makes a repository where the project `delta` will want its own."""
        async with self._ecr() as ecr:
            await ecr.create_repository(repositoryName=f"{_PREFIX}/project/delta")

    async def make_room(self) -> None:
        """The account's owner removes that repository and redrives the dead letter."""
        async with self._ecr() as ecr:
            await ecr.delete_repository(repositoryName=f"{_PREFIX}/project/delta")
        await self.redrive(id_of("create delta 1"))

    async def push_builds(self) -> None:
        """Two builds of `alpha` and one of `gamma` are pushed."""
        async with self._ecr() as ecr:
            for project, build in (("alpha", "build used"), ("alpha", "build old"), ("gamma", "build fast")):
                await ecr.put_image(
                    repositoryName=f"{_PREFIX}/project/{project}", imageManifest=_manifest(build), imageTag=id_of(build)
                )

    async def until_waiting(self, event_id: str, words: str) -> None:
        """Returns once the daemon has put the event off, with these words in its reason. StackError when it does not."""
        deadline = self.runtime.monotonic() + _WAITING_S
        async with open_ledger(self.stack) as ledger:
            while True:
                record = await ledger.lookup(f"event/{event_id}")
                if record is not None and record.waiting is not None and words in record.waiting.message:
                    return
                if self.runtime.monotonic() > deadline:
                    raise StackError(f"event {event_id} was not put off with {words!r}: {record}")
                await self.runtime.sleep(0.05)

    async def until_the_deploy_waits(self) -> None:
        """The deploy has come before its environment, and waits."""
        await self.until_waiting(id_of("deploy staging 2"), "has not been created")

    async def hold_staging(self) -> None:
        """Somebody puts a thing into the namespace `staging` that goes only when they say so."""
        async with self._owner() as owner:
            await owner.hold("staging")

    async def release_staging(self) -> None:
        """Once the daemon has said what it waits for, the holder lets it go."""
        await self.until_waiting(id_of("delete staging 3"), HOLD)
        async with self._owner() as owner:
            await owner.release("staging")

    async def occupy_namespace(self) -> None:
        """Somebody else makes a namespace where the environment `taken` will want its own."""
        async with self._owner() as owner:
            await owner.make_namespace("taken")

    async def namespaces(self) -> Sequence[tuple[object, ...]]:
        """Name, environment, generation, power, state and number of objects of every namespace that a story is about."""
        async with self._owner() as owner:
            return await owner.namespaces()

    async def redrive(self, event_id: str) -> None:
        """What `agentd dlq redrive` does for one event. Its report may be here before the dead letter is there."""
        runtime = self.runtime
        commands = self.stack.queue(self.stack.commands_url, "commands", runtime)
        letters = self.stack.queue(self.stack.dead_letters_url, "dead-letters", runtime)
        async with open_queues(commands, letters):
            dead_letters = DeadLetters(letters, commands, runtime)
            deadline = runtime.monotonic() + _DEAD_LETTER_S
            while not (
                await dead_letters.redrive(lambda entry: entry.named(event_id), rate_per_s=100, limit=10)
            ).redriven:
                if runtime.monotonic() > deadline:
                    raise StackError(f"event {event_id} does not come to the dead-letter queue")
                await runtime.sleep(0.2)

    async def repositories(self) -> Sequence[tuple[str, str, str, int]]:
        """Name, subject, generation and number of images of every repository there is."""
        async with self._ecr() as ecr:
            found = (await ecr.describe_repositories())["repositories"]
            rows = []
            for repository in sorted(found, key=lambda repository: repository["repositoryName"]):
                tags = (await ecr.list_tags_for_resource(resourceArn=repository["repositoryArn"]))["tags"]
                by_key = {tag["Key"]: tag["Value"] for tag in tags}
                images = (await ecr.list_images(repositoryName=repository["repositoryName"]))["imageIds"]
                rows.append(
                    (
                        repository["repositoryName"],
                        by_key.get("conveyor.internal/subject", "-"),
                        by_key.get("conveyor.internal/generation", "-"),
                        len(images),
                    )
                )
        return rows

    @staticmethod
    def event_of(name: str) -> str:
        """The id of the story's event of that name."""
        return id_of(name)

    def _owner(self) -> "AbstractAsyncContextManager[ClusterOwner]":
        return cluster_owner(self.stack.kubeconfig)

    def _ecr(self) -> "ClientCreatorContext[ECRClient]":
        aws = self.stack.aws
        return AioSession().create_client("ecr", region_name=aws.region, endpoint_url=aws.endpoint_url)


@asynccontextmanager
async def open_ledger(stack: Stack) -> AsyncIterator[SqliteLedger]:
    """The daemon's ledger, to be read."""
    config = LedgerConfig(path=stack.folder / "ledger.db")
    ledger = await SqliteLedger.open(config, observe=lambda _operation, _result, _seconds: None, read_only=True)
    try:
        yield ledger
    finally:
        await ledger.close()


def _manifest(name: str) -> str:
    digest = uuid.uuid5(uuid.NAMESPACE_URL, name).hex * 2
    return (
        '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":'
        '{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"sha256:'
        + digest
        + '"},"layers":[]}'
    )
