"""The story that the demo tells and that the tests hold the daemon to: what is sent, and how each event must end."""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiobotocore.session import AioSession

from agentd.bus import DeadLetters, SqsQueue
from agentd.cli.control_plane import event
from agentd.cli.stack import Stack, StackError, open_queues
from agentd.core import Runtime
from agentd.embedded import Fault, FaultKind
from agentd.events import BuildCleanup, EventData, PackageCreate, ProjectCreate, ProjectDelete
from agentd.platform import DEPLOYED_TAG_PREFIX

if TYPE_CHECKING:
    from aiobotocore.session import ClientCreatorContext
    from types_aiobotocore_ecr.client import ECRClient

_DEAD_LETTER_S = 30.0
_PREFIX = "conveyor/data-plane"


def _id(name: str) -> str:
    """Ids are the same in every run, so that two runs can be compared."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://control-plane.example/demo/{name}"))


@dataclass(frozen=True, slots=True)
class Expected:
    """How an event must end."""

    outcome: str
    changed: bool = False
    reason: str | None = None
    epoch: int = 1


@dataclass(frozen=True, slots=True)
class Telling:
    """One line of the story. `count`: which report of the event's epoch it is, when there are several."""

    title: str
    body: str
    event_id: str | None
    expected: Expected
    count: int = 1


Prepare = Callable[["Stage"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Act:
    """Events sent together, after something has been prepared; the next act begins when all have been reported."""

    tellings: Sequence[Telling]
    prepare: Prepare | None = None
    sends: bool = True


@dataclass(frozen=True, slots=True)
class Stage:
    """What the story can reach besides the queues: the cloud's account, as its owner would."""

    stack: Stack
    runtime: Runtime

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
        await self.redrive(_id("create delta 1"))

    async def push_builds(self) -> None:
        """Two builds of `alpha` are pushed; one is deployed to the environment `dev`."""
        async with self._ecr() as ecr:
            for build, tag in (
                ("build used", _id("build used")),
                ("build used", f"{DEPLOYED_TAG_PREFIX}dev"),
                ("build old", _id("build old")),
            ):
                await ecr.put_image(
                    repositoryName=f"{_PREFIX}/project/alpha", imageManifest=_manifest(build), imageTag=tag
                )

    async def redrive(self, event_id: str) -> None:
        """What `agentd dlq redrive` does for one event. Its report may be here before the dead letter is there."""
        aws, runtime = self.stack.aws, self.runtime
        commands = SqsQueue(self.stack.commands_url, name="commands", aws=aws, runtime=runtime)
        letters = SqsQueue(self.stack.dead_letters_url, name="dead-letters", aws=aws, runtime=runtime)
        async with open_queues(commands, letters):
            dead_letters = DeadLetters(letters, commands, runtime)
            deadline = runtime.monotonic() + _DEAD_LETTER_S
            while not (
                await dead_letters.redrive(lambda entry: entry.named(event_id), rate_per_s=100, limit=10)
            ).redriven:
                if runtime.monotonic() > deadline:
                    raise StackError(f"event {event_id} does not come to the dead-letter queue")
                await runtime.sleep(0.2)

    async def dead_letter_reasons(self) -> Sequence[str | None]:
        """The reason of every dead letter."""
        aws, runtime = self.stack.aws, self.runtime
        commands = SqsQueue(self.stack.commands_url, name="commands", aws=aws, runtime=runtime)
        letters = SqsQueue(self.stack.dead_letters_url, name="dead-letters", aws=aws, runtime=runtime)
        async with open_queues(commands, letters):
            return [entry.reason for entry in await DeadLetters(letters, commands, runtime).list(100)]

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
        return _id(name)

    def _ecr(self) -> "ClientCreatorContext[ECRClient]":
        aws = self.stack.aws
        return AioSession().create_client("ecr", region_name=aws.region, endpoint_url=aws.endpoint_url)


def _manifest(name: str) -> str:
    digest = uuid.uuid5(uuid.NAMESPACE_URL, name).hex * 2
    return (
        '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":'
        '{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"sha256:'
        + digest
        + '"},"layers":[]}'
    )


_CREATED = Expected("succeeded", changed=True)
_UNCHANGED = Expected("succeeded")
_IN_USE = Expected("failed", reason="in_use")


class _Script:
    """Writes the lines of the story. Events are named by what they do, and their ids follow from the name."""

    def __init__(self) -> None:
        self._bodies: dict[str, str] = {}

    def create(self, project: str, generation: int, expected: Expected, note: str = "") -> Telling:
        """Create a project, or bring it to a newer generation."""
        data = ProjectCreate(project_id=_id(f"project {project}"), project_name=project)
        return self._line(f"create {project} {generation}", note, data, generation, expected)

    def create_package(self, package: str, generation: int, expected: Expected) -> Telling:
        """Create a package."""
        data = PackageCreate(package_id=_id(f"package {package}"), package_name=package)
        return self._line(f"create package {package} {generation}", "", data, generation, expected)

    def delete(
        self, project: str, generation: int, expected: Expected, note: str = "", *, force: bool = False
    ) -> Telling:
        """Delete a project."""
        data = ProjectDelete(project_id=_id(f"project {project}"), project_name=project, force=force)
        return self._line(f"delete {project} {generation}", note, data, generation, expected)

    def clean_up(self, build: str, expected: Expected, note: str) -> Telling:
        """Clean up a build of `alpha`."""
        data = BuildCleanup(build_id=_id(build), project_id=_id("project alpha"), project_name="alpha")
        return self._line(f"clean up {build}", note, data, 1, expected)

    def again(self, name: str, expected: Expected, note: str) -> Telling:
        """The very same event as before: the second report of its epoch, or the first of its next."""
        return Telling(f"{name}, {note}", self._bodies[name], _id(name), expected, count=3 - expected.epoch)

    def unknown(self) -> Telling:
        """A valid envelope of a type that nobody knows."""
        body = self._bodies["create alpha 1"].replace("project.create.v1", "project.praise.v1")
        body = body.replace(_id("create alpha 1"), _id("praise"))
        return Telling("a type that nobody knows", body, _id("praise"), Expected("rejected", reason="unknown_type"))

    def _line(self, name: str, note: str, data: EventData, generation: int, expected: Expected) -> Telling:
        self._bodies[name] = event(data, generation, event_id=_id(name))
        return Telling(f"{name}, {note}" if note else name, self._bodies[name], _id(name), expected)


def story() -> Sequence[Act]:
    """Every outcome, and every way that a message can be wrong, late or double."""
    script = _Script()
    malformed = Telling("no CloudEvent at all", '{"hello": "world"', None, Expected("rejected", reason="malformed"))
    late = Expected("superseded", reason="newer_generation")
    taken = Expected("failed", reason="foreign_object")
    redriven = Expected("succeeded", changed=True, epoch=2)
    return (
        Act(
            (
                script.create("alpha", 1, _CREATED),
                script.create("beta", 1, _CREATED),
                script.create_package("tools", 1, _CREATED),
            )
        ),
        Act((script.again("create alpha 1", _CREATED, "the same event once more"),)),
        Act((script.create("alpha", 3, _UNCHANGED, "nothing new in it"),)),
        Act((script.create("alpha", 2, late, "late"),)),
        Act((script.unknown(), malformed)),
        Act((script.create("gamma", 1, _CREATED, "throttled twice"),), prepare=Stage.throttle_twice),
        Act((script.create("delta", 1, taken, "whose place is taken"),), prepare=Stage.occupy),
        Act((script.again("create delta 1", redriven, "redriven"),), prepare=Stage.make_room, sends=False),
        Act(
            (
                script.clean_up("build used", _IN_USE, "deployed"),
                script.clean_up("build old", _CREATED, "not deployed"),
            ),
            prepare=Stage.push_builds,
        ),
        Act((script.delete("beta", 2, _CREATED),)),
        Act((script.create("beta", 3, _CREATED, "after its delete"),)),
        Act((script.delete("alpha", 4, _IN_USE, "a build is deployed", force=True),)),
    )
