"""What ECR says: every listing whole, and nothing found as None."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentd.core import Reason, TransientError, side_by_side
from agentd.platform.aws.calls import AwsCalls
from agentd.platform.aws.ecr_batches import check_entries
from agentd.platform.aws.ecr_tags import is_retained
from agentd.platform.aws.tags import Marks
from agentd.platform.config import RegistryConfig
from agentd.platform.registry import Image, RegistryCredentials, Repository

if TYPE_CHECKING:
    from types_aiobotocore_ecr import ECRClient
    from types_aiobotocore_ecr.type_defs import (
        DescribeImagesRequestTypeDef,
        DescribeRepositoriesRequestTypeDef,
        ImageDetailTypeDef,
        ImageIdentifierTypeDef,
        RepositoryTypeDef,
    )

NO_REPOSITORY = ("RepositoryNotFoundException",)
_NO_IMAGE = ("ImageNotFoundException", *NO_REPOSITORY)
_NO_LIFECYCLE = ("LifecyclePolicyNotFoundException",)
_NO_ACCESS = ("RepositoryPolicyNotFoundException",)
_ALL = "ecr:repository/*"
# Without them ECR may answer with an older kind of manifest, or with one of the manifests of an index.
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


def repository_object(name: str) -> str:
    """What fences and errors call a repository."""
    return f"ecr:repository/{name}"


def image_object(name: str, digest: str) -> str:
    """What fences and errors call an image."""
    return f"ecr:image/{name}@{digest}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an image is made of, byte for byte as it was pushed: its digest is taken over it."""

    text: str
    media_type: str


class EcrReads:
    """The reading half. The client may retry: reads are safe to repeat."""

    def __init__(self, client: "ECRClient", calls: AwsCalls, config: RegistryConfig, owner_id: str) -> None:
        self._client = client
        self._calls = calls
        self._config = config
        self._owner_id = owner_id

    async def repository(self, name: str) -> tuple[Repository, str] | None:
        """The repository and its ARN."""
        answer = await self._calls.call_unless(
            "DescribeRepositories",
            repository_object(name),
            self._client.describe_repositories(repositoryNames=[name]),
            timeout_s=self._config.call_timeout_s,
            refusals=NO_REPOSITORY,
        )
        found = answer["repositories"] if answer else []
        return await self._tagged(found[0]) if found else None

    async def own_repositories(self) -> Sequence[Repository]:
        """Every repository below the prefix that carries the agent's marks."""
        prefix = f"{self._config.repository_prefix}/"
        described = [found for found in await self._described() if found.get("repositoryName", "").startswith(prefix)]
        results = await side_by_side(described, self._tagged, at_once=self._config.parallel_reads)
        return [result[0] for result in results if result is not None and result[0].owner_id is not None]

    async def images(self, name: str) -> Sequence[Image]:
        """All images; empty when there is no repository."""
        images: list[Image] = []
        page: DescribeImagesRequestTypeDef = {"repositoryName": name, "maxResults": self._config.page_size}
        while True:
            answer = await self._calls.call_unless(
                "DescribeImages",
                repository_object(name),
                self._client.describe_images(**page),
                timeout_s=self._config.call_timeout_s,
                refusals=NO_REPOSITORY,
            )
            if answer is None:
                return []
            images += [_image(detail) for detail in answer["imageDetails"]]
            if not (token := answer.get("nextToken")):
                return images
            page["nextToken"] = token

    async def image(self, name: str, tag_or_digest: str) -> Image | None:
        """One image, with all its tags."""
        is_digest = ":" in tag_or_digest  # no tag has one. Source: the OCI distribution specification
        wanted: ImageIdentifierTypeDef = {"imageDigest": tag_or_digest} if is_digest else {"imageTag": tag_or_digest}
        answer = await self._calls.call_unless(
            "DescribeImages",
            image_object(name, tag_or_digest),
            self._client.describe_images(repositoryName=name, imageIds=[wanted]),
            timeout_s=self._config.call_timeout_s,
            refusals=_NO_IMAGE,
        )
        details = answer["imageDetails"] if answer else []
        return _image(details[0]) if details else None

    async def manifest(self, name: str, digest: str) -> Manifest:
        """An image's manifest, or a multi-platform image's index. Raises TransientError when the image is gone."""
        obj = image_object(name, digest)
        answer = await self._calls.call(
            "BatchGetImage",
            obj,
            self._client.batch_get_image(
                repositoryName=name, imageIds=[{"imageDigest": digest}], acceptedMediaTypes=_MANIFESTS
            ),
            timeout_s=self._config.call_timeout_s,
        )
        check_entries("BatchGetImage", obj, answer)
        for found in answer.get("images", []):
            text, media_type = found.get("imageManifest"), found.get("imageManifestMediaType")
            if text is not None and media_type is not None:
                return Manifest(text, media_type)
        raise TransientError(Reason.UNAVAILABLE, f"{obj} has no manifest")

    async def lifecycle_text(self, name: str) -> str | None:
        """The lifecycle policy; None without one."""
        answer = await self._calls.call_unless(
            "GetLifecyclePolicy",
            repository_object(name),
            self._client.get_lifecycle_policy(repositoryName=name),
            timeout_s=self._config.call_timeout_s,
            refusals=_NO_LIFECYCLE,
        )
        return answer["lifecyclePolicyText"] if answer else None

    async def access_text(self, name: str) -> str | None:
        """The repository policy; None without one."""
        answer = await self._calls.call_unless(
            "GetRepositoryPolicy",
            repository_object(name),
            self._client.get_repository_policy(repositoryName=name),
            timeout_s=self._config.call_timeout_s,
            refusals=_NO_ACCESS,
        )
        return answer["policyText"] if answer else None

    async def credentials(self) -> RegistryCredentials:
        """A login for the registry."""
        answer = await self._calls.call(
            "GetAuthorizationToken",
            _ALL,
            self._client.get_authorization_token(),
            timeout_s=self._config.call_timeout_s,
        )
        found = answer["authorizationData"][0]
        username, _, password = base64.b64decode(found["authorizationToken"]).decode().partition(":")
        return RegistryCredentials(
            registry=found["proxyEndpoint"].removeprefix("https://"),
            username=username,
            password=password,
            expires_at=found["expiresAt"],
        )

    async def _described(self) -> Sequence["RepositoryTypeDef"]:
        described: list[RepositoryTypeDef] = []
        page: DescribeRepositoriesRequestTypeDef = {"maxResults": self._config.page_size}
        while True:
            answer = await self._calls.call(
                "DescribeRepositories",
                _ALL,
                self._client.describe_repositories(**page),
                timeout_s=self._config.call_timeout_s,
            )
            described += answer["repositories"]
            if not (token := answer.get("nextToken")):
                return described
            page["nextToken"] = token

    async def _tagged(self, found: "RepositoryTypeDef") -> tuple[Repository, str] | None:
        arn = found["repositoryArn"]
        answer = await self._calls.call_unless(
            "ListTagsForResource",
            repository_object(found["repositoryName"]),
            self._client.list_tags_for_resource(resourceArn=arn),
            timeout_s=self._config.call_timeout_s,
            refusals=NO_REPOSITORY,
        )
        if answer is None:
            return None
        tags = {tag["Key"]: tag.get("Value", "") for tag in answer.get("tags", [])}
        return _repository(found, tags, self._owner_id), arn


def _repository(found: "RepositoryTypeDef", tags: Mapping[str, str], owner_id: str) -> Repository:
    marks = Marks.read(tags, owner_id)
    return Repository(
        name=found["repositoryName"],
        uri=found["repositoryUri"],
        scan_on_push=found.get("imageScanningConfiguration", {}).get("scanOnPush", False),
        immutable_tags=found.get("imageTagMutability") == "IMMUTABLE",
        owner_id=marks.owner_id if marks else None,
        subject=marks.subject if marks else None,
        generation=marks.generation if marks else None,
        retained=marks is not None and is_retained(tags),
        created_at=found.get("createdAt"),
        tags=tags,
    )


def _image(detail: "ImageDetailTypeDef") -> Image:
    return Image(
        digest=detail["imageDigest"],
        tags=tuple(detail.get("imageTags", ())),
        size_bytes=detail.get("imageSizeInBytes"),
        pushed_at=detail.get("imagePushedAt"),
        media_type=detail.get("imageManifestMediaType"),
    )
