"""The image registry on ECR, which has no conditional write."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from agentd.core import Fence, PermanentError, Reason, Runtime, TransientError
from agentd.platform.aws import ecr_policies, ecr_tags, tags
from agentd.platform.aws.calls import AwsCalls
from agentd.platform.aws.ecr_batches import GONE, check_entries
from agentd.platform.aws.ecr_marks import EcrMarks
from agentd.platform.aws.ecr_reads import NO_REPOSITORY, EcrReads, image_object, repository_object
from agentd.platform.aws.fenced import FencedWrites
from agentd.platform.aws.policies import same_policy
from agentd.platform.config import RegistryConfig
from agentd.platform.ownership import check_own, check_owner
from agentd.platform.registry import (
    Image,
    ImageRegistry,
    LifecyclePolicy,
    RegistryCredentials,
    Repository,
    RepositoryAccess,
    RepositorySpec,
    refuse_deployed,
)
from agentd.telemetry import Metrics

if TYPE_CHECKING:
    from types_aiobotocore_ecr import ECRClient
    from types_aiobotocore_ecr.literals import ImageTagMutabilityType
    from types_aiobotocore_ecr.type_defs import TagTypeDef

_EXISTS = ("RepositoryAlreadyExistsException",)
# Waits before each look at a result: ECR shows nearly every change at once, and all within a second or two.
_LOOK_AFTER_S = (0.0, 0.1, 0.3, 0.6, 1.0)


class EcrRegistry(ImageRegistry):
    """`reads` may retry by itself; `writes` must not."""

    def __init__(
        self,
        *,
        reads: "ECRClient",
        writes: "ECRClient",
        config: RegistryConfig,
        owner_id: str,
        metrics: Metrics,
        runtime: Runtime,
    ) -> None:
        calls = AwsCalls(port="registry", service="ecr", metrics=metrics, runtime=runtime)
        self._reads = EcrReads(reads, calls, config, owner_id)
        self._writes = writes
        self._fenced = FencedWrites(calls, timeout_s=config.call_timeout_s, look_after_s=_LOOK_AFTER_S, runtime=runtime)
        self._marks = EcrMarks(self._reads, writes, self._fenced)
        self._owner_id = owner_id

    async def get(self, name: str) -> Repository | None:
        found = await self._reads.repository(name)
        return found[0] if found else None

    async def repositories(self) -> Sequence[Repository]:
        return await self._reads.own_repositories()

    async def images(self, name: str) -> Sequence[Image]:
        return await self._reads.images(name)

    async def image(self, name: str, tag_or_digest: str) -> Image | None:
        return await self._reads.image(name, tag_or_digest)

    async def credentials(self) -> RegistryCredentials:
        return await self._reads.credentials()

    def object_name(self, name: str, digest: str | None = None) -> str:
        return repository_object(name) if digest is None else image_object(name, digest)

    async def lifecycle(self, name: str) -> LifecyclePolicy | str | None:
        text = await self._reads.lifecycle_text(name)
        return None if text is None else ecr_policies.read_lifecycle(text)

    async def access(self, name: str) -> RepositoryAccess | str:
        text = await self._reads.access_text(name)
        return RepositoryAccess() if text is None else ecr_policies.read_access(text)

    def spelled(self, access: RepositoryAccess) -> RepositoryAccess:
        return ecr_policies.spelled(access)

    async def ensure(self, spec: RepositorySpec, *, fence: Fence) -> Repository:
        found = await self._reads.repository(spec.name)
        if found is None:
            await self._create(spec, fence)
            found = await self._fenced.shown(repository_object(spec.name), lambda: self._reads.repository(spec.name))
        repository, arn = self._own(spec.name, found, fence)
        differs = repository.retained or not _has_settings(repository, spec)
        repository = await self._claim(repository, arn, fence, changes=differs)
        if differs:
            await self._bring(repository, arn, spec, fence)
            repository = await self._until(spec.name, lambda seen: not seen.retained and _has_settings(seen, spec))
        return repository

    async def ensure_lifecycle(self, name: str, policy: LifecyclePolicy, *, fence: Fence) -> None:
        repository, arn = self._own(name, await self._reads.repository(name), fence)
        wanted = ecr_policies.lifecycle_text(policy)
        differs = not same_policy(await self._reads.lifecycle_text(name), wanted)
        await self._claim(repository, arn, fence, changes=differs)
        if not differs:
            return
        await self._fenced.write(
            "PutLifecyclePolicy",
            repository_object(name),
            lambda: self._writes.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=wanted),
            fence,
        )
        await self._fenced.settled(
            repository_object(name), lambda: self._reads.lifecycle_text(name), lambda seen: same_policy(seen, wanted)
        )

    async def ensure_access(self, name: str, access: RepositoryAccess, *, fence: Fence) -> None:
        repository, arn = self._own(name, await self._reads.repository(name), fence)
        wanted = ecr_policies.access_text(access)
        differs = not same_policy(await self._reads.access_text(name), wanted)
        await self._claim(repository, arn, fence, changes=differs)
        if not differs:
            return
        if wanted is None:
            await self._fenced.write(
                "DeleteRepositoryPolicy",
                repository_object(name),
                lambda: self._writes.delete_repository_policy(repositoryName=name),
                fence,
                refusals=("RepositoryPolicyNotFoundException",),
            )
        else:
            await self._fenced.write(
                "SetRepositoryPolicy",
                repository_object(name),
                lambda: self._writes.set_repository_policy(repositoryName=name, policyText=wanted),
                fence,
            )
        await self._fenced.settled(
            repository_object(name), lambda: self._reads.access_text(name), lambda seen: same_policy(seen, wanted)
        )

    async def retain(self, name: str, *, fence: Fence) -> None:
        found = await self._reads.repository(name)
        if found is None:
            return
        repository, arn = self._own(name, found, fence)
        if repository.retained:
            await self._claim(repository, arn, fence, changes=False)
            return
        await self._tag(name, arn, ecr_tags.retained_tags(fence, retained=True), fence, stamp=False)
        await self._until(name, lambda seen: seen.retained)

    async def delete(self, name: str, *, force: bool, fence: Fence) -> None:
        found = await self._reads.repository(name)
        if found is None:
            return
        self._own(name, found, fence)
        images = await self._reads.images(name)
        refuse_deployed(f"repository {name}", images)
        if images and not force:
            raise PermanentError(Reason.NOT_EMPTY, f"repository {name} still holds {len(images)} images")
        await self._fenced.write(
            "DeleteRepository",
            repository_object(name),
            lambda: self._writes.delete_repository(repositoryName=name, force=force),
            fence,
            destroys=True,
            refusals=NO_REPOSITORY,
        )
        await self._fenced.settled(
            repository_object(name), lambda: self._reads.repository(name), lambda seen: seen is None
        )

    async def delete_image(self, name: str, tag_or_digest: str, *, fence: Fence) -> bool:
        found = await self._reads.repository(name)
        if found is None:
            return False
        self._check_owner(found[0])
        image = await self._reads.image(name, tag_or_digest)
        if image is None:
            return False
        refuse_deployed(f"image {name}:{tag_or_digest}", [image])
        obj = image_object(name, image.digest)
        answer = await self._fenced.write(
            "BatchDeleteImage",
            obj,
            # By digest: by tag, ECR would only take the tag off an image that has several.
            lambda: self._writes.batch_delete_image(repositoryName=name, imageIds=[{"imageDigest": image.digest}]),
            fence,
            destroys=True,
            refusals=NO_REPOSITORY,
        )
        if answer is not None:
            check_entries("BatchDeleteImage", obj, answer, tolerated=GONE)
        await self._fenced.settled(obj, lambda: self._reads.image(name, image.digest), lambda seen: seen is None)
        return True

    async def mark_deployed(self, name: str, tag_or_digest: str, environment: str, *, fence: Fence) -> Image:
        found = await self._reads.repository(name)
        if found is not None:
            self._check_owner(found[0])
        image = await self._reads.image(name, tag_or_digest) if found is not None else None
        if image is None:
            raise PermanentError(Reason.IMAGE_MISSING, f"{repository_object(name)} has no image {tag_or_digest}")
        return await self._marks.move(name, image, environment, fence)

    async def unmark_deployed(self, name: str, environment: str, *, fence: Fence) -> bool:
        found = await self._reads.repository(name)
        if found is None:
            return False
        self._check_owner(found[0])
        return await self._marks.remove(name, environment, fence)

    async def _create(self, spec: RepositorySpec, fence: Fence) -> None:
        """One that exists already is read and checked by the caller: an answer may have been lost, or it is foreign."""
        await self._fenced.write(
            "CreateRepository",
            repository_object(spec.name),
            lambda: self._writes.create_repository(
                repositoryName=spec.name,
                tags=_tag_list(ecr_tags.first_tags(fence)),
                imageTagMutability=_mutability(spec),
                imageScanningConfiguration={"scanOnPush": spec.scan_on_push},
                encryptionConfiguration=(
                    {"encryptionType": "KMS", "kmsKey": spec.kms_key} if spec.kms_key else {"encryptionType": "AES256"}
                ),
            ),
            fence,
            refusals=_EXISTS,
        )

    async def _bring(self, repository: Repository, arn: str, spec: RepositorySpec, fence: Fence) -> None:
        if repository.scan_on_push != spec.scan_on_push:
            await self._fenced.write(
                "PutImageScanningConfiguration",
                repository_object(spec.name),
                lambda: self._writes.put_image_scanning_configuration(
                    repositoryName=spec.name, imageScanningConfiguration={"scanOnPush": spec.scan_on_push}
                ),
                fence,
            )
        if repository.immutable_tags != spec.immutable_tags:
            await self._fenced.write(
                "PutImageTagMutability",
                repository_object(spec.name),
                lambda: self._writes.put_image_tag_mutability(
                    repositoryName=spec.name, imageTagMutability=_mutability(spec)
                ),
                fence,
            )
        if repository.retained:
            await self._tag(spec.name, arn, ecr_tags.retained_tags(fence, retained=False), fence, stamp=False)

    async def _claim(self, repository: Repository, arn: str, fence: Fence, *, changes: bool) -> Repository:
        """Stamp the generation, and before a change the event too, so that older writers see that they are late."""
        wanted = tags.content_stamp(fence) if changes else tags.stamp(fence)
        missing = tags.missing(wanted, repository.tags)
        if not missing:
            return repository
        await self._tag(repository.name, arn, missing, fence, stamp=True)
        return await self._until(repository.name, lambda seen: not tags.missing(missing, seen.tags))

    async def _tag(self, name: str, arn: str, wanted: Mapping[str, str], fence: Fence, *, stamp: bool) -> None:
        await self._fenced.write(
            "TagResource",
            repository_object(name),
            lambda: self._writes.tag_resource(resourceArn=arn, tags=_tag_list(wanted)),
            fence,
            stamp=stamp,
        )

    async def _until(self, name: str, good: Callable[[Repository], bool]) -> Repository:
        """The repository once it shows a change."""
        found = await self._fenced.shown(
            repository_object(name), lambda: self._reads.repository(name), lambda seen: good(seen[0])
        )
        return found[0]

    def _own(self, name: str, found: tuple[Repository, str] | None, fence: Fence) -> tuple[Repository, str]:
        """The repository, once it is clear that the fence's holder may write to it."""
        if found is None:
            raise TransientError(Reason.UNAVAILABLE, f"{repository_object(name)} is not there")
        check_own(repository_object(name), found[0], fence)
        return found

    def _check_owner(self, repository: Repository) -> None:
        check_owner(repository_object(repository.name), repository, self._owner_id)


def _has_settings(repository: Repository, spec: RepositorySpec) -> bool:
    return (repository.scan_on_push, repository.immutable_tags) == (spec.scan_on_push, spec.immutable_tags)


def _mutability(spec: RepositorySpec) -> "ImageTagMutabilityType":
    return "IMMUTABLE" if spec.immutable_tags else "MUTABLE"


def _tag_list(wanted: Mapping[str, str]) -> "list[TagTypeDef]":
    return [{"Key": key, "Value": value} for key, value in sorted(wanted.items())]
