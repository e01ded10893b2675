"""The simulated image registry: what of ECR the agent uses. Source: the ECR API reference."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256

from botocore.exceptions import ClientError

from agentd.platform.aws.ecr_reads import image_object, repository_object
from tests.simulation.world.aws import (
    ACCOUNT,
    Answer,
    Operation,
    Request,
    Service,
    Thing,
    about,
    cut,
    operations,
    read_tags,
    refusal,
    speaker,
    tag_list,
)
from tests.simulation.world.faults import ECR
from tests.simulation.world.truth import Asked, Seen, own_tags

SAYS = speaker(ECR, ("ThrottlingException", 400), ("ServerException", 500), ("AccessDeniedException", 400))

_ARN = f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/"
_REGISTRY = f"{ACCOUNT}.dkr.ecr.eu-west-1.simulated"
_TOKEN_S = 12 * 3600
_PAGE = 100
MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True, slots=True)
class Image:
    """An image: its manifest as it was pushed, and its tags."""

    digest: str
    manifest: str
    media_type: str
    pushed_s: float
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Repository(Thing):
    """A repository with everything in it."""

    mutability: str
    scan_on_push: bool
    encryption: Mapping[str, str]
    lifecycle: str | None = None
    policy: str | None = None
    images: Mapping[str, Image] = field(default_factory=dict)


class Ecr(Service[Repository]):
    """One account's registry."""

    def operations(self) -> Mapping[str, Operation]:
        """See Service."""
        return operations(
            {
                "DescribeRepositories": self._describe_repositories,
                "ListTagsForResource": self._list_tags,
                "DescribeImages": self._describe_images,
                "BatchGetImage": self._batch_get_image,
                "GetLifecyclePolicy": self._get_lifecycle_policy,
                "GetRepositoryPolicy": self._get_repository_policy,
                "GetAuthorizationToken": self._get_authorization_token,
            },
            {
                "CreateRepository": self._create_repository,
                "TagResource": self._tag_resource,
                "PutImageScanningConfiguration": self._put_scanning,
                "PutImageTagMutability": self._put_mutability,
                "PutLifecyclePolicy": self._put_lifecycle_policy,
                "SetRepositoryPolicy": self._set_repository_policy,
                "DeleteRepositoryPolicy": self._delete_repository_policy,
                "DeleteRepository": self._delete_repository,
                "PutImage": self._put_image,
                "BatchDeleteImage": self._batch_delete_image,
            },
        )

    def missing(self, name: str, operation: str) -> ClientError:
        """See Service."""
        message = f"The repository with name '{name}' does not exist in the registry with id '{ACCOUNT}'"
        return refusal("RepositoryNotFoundException", message, operation)

    def seen(self) -> Sequence[Seen]:
        """Repositories, and each image as an object of its own."""
        return [seen for repository in self.shelf.all() for seen in _seen(repository)]

    # -- reads ---------------------------------------------------------------------------------------------------------

    def _describe_repositories(self, asked: Asked, request: Request) -> Answer:
        names = request.get("repositoryNames")
        if names:
            return {"repositories": [_described(self.found(name, asked)) for name in names]}
        every = [_described(repository) for repository in self.shelf.all(asked.lag_s)]
        page, token = cut(every, request.get("nextToken"), request.get("maxResults", _PAGE))
        return {"repositories": page, **({"nextToken": token} if token else {})}

    def _list_tags(self, asked: Asked, request: Request) -> Answer:
        return {"tags": tag_list(self.found(_name(request["resourceArn"]), asked).tags)}

    def _describe_images(self, asked: Asked, request: Request) -> Answer:
        repository = self.found(request["repositoryName"], asked)
        wanted = request.get("imageIds")
        if wanted:
            return {"imageDetails": [_detail(repository, self._image(repository, one, asked)) for one in wanted]}
        every = [_detail(repository, image) for image in repository.images.values()]
        page, token = cut(every, request.get("nextToken"), request.get("maxResults", _PAGE))
        return {"imageDetails": page, **({"nextToken": token} if token else {})}

    def _batch_get_image(self, asked: Asked, request: Request) -> Answer:
        repository = self.found(request["repositoryName"], asked)
        images, failures = [], []
        for wanted in request["imageIds"]:
            image = _find(repository, wanted)
            if image is None:
                failures.append(_not_there(wanted))
            else:
                images.append(_whole(repository, image, wanted))
        return {"images": images, "failures": failures}

    def _get_lifecycle_policy(self, asked: Asked, request: Request) -> Answer:
        repository = self.found(request["repositoryName"], asked)
        if repository.lifecycle is None:
            raise refusal("LifecyclePolicyNotFoundException", "Lifecycle policy does not exist", asked.operation)
        return {"repositoryName": repository.name, "lifecyclePolicyText": repository.lifecycle}

    def _get_repository_policy(self, asked: Asked, request: Request) -> Answer:
        repository = self.found(request["repositoryName"], asked)
        if repository.policy is None:
            raise _no_policy(asked)
        return {"repositoryName": repository.name, "policyText": repository.policy}

    def _get_authorization_token(self, _asked: Asked, _request: Request) -> Answer:
        token = {
            "authorizationToken": b64encode(b"AWS:a password").decode(),
            "expiresAt": datetime.fromtimestamp(self._wall() + _TOKEN_S, UTC),
            "proxyEndpoint": f"https://{_REGISTRY}",
        }
        return {"authorizationData": [token]}

    # -- writes --------------------------------------------------------------------------------------------------------

    def _create_repository(self, asked: Asked, request: Request) -> Answer:
        name, tags = request["repositoryName"], read_tags(request.get("tags", ()))

        def make(there: Repository | None) -> Repository:
            if there is not None:
                message = f"The repository with name '{name}' already exists in the registry with id '{ACCOUNT}'"
                raise refusal("RepositoryAlreadyExistsException", message, asked.operation)
            return Repository(
                name=name,
                arn=repository_arn(name),
                created_s=self._wall(),
                tags=tags,
                mutability=request.get("imageTagMutability", "MUTABLE"),
                scan_on_push=request.get("imageScanningConfiguration", {}).get("scanOnPush", False),
                encryption=request.get("encryptionConfiguration", {"encryptionType": "AES256"}),
            )

        return {"repository": _described(self.create(asked, name, about(repository_object(name), tags), make))}

    def _tag_resource(self, asked: Asked, request: Request) -> Answer:
        name, tags = _name(request["resourceArn"]), read_tags(request["tags"])
        self.change(
            asked,
            name,
            about(repository_object(name), tags),
            lambda found: replace(found, tags={**found.tags, **tags}),
        )
        return {}

    def _put_scanning(self, asked: Asked, request: Request) -> Answer:
        wanted = request["imageScanningConfiguration"]
        self._set(asked, request, scan_on_push=wanted["scanOnPush"])
        return {"repositoryName": request["repositoryName"], "imageScanningConfiguration": wanted}

    def _put_mutability(self, asked: Asked, request: Request) -> Answer:
        wanted = request["imageTagMutability"]
        self._set(asked, request, mutability=wanted)
        return {"repositoryName": request["repositoryName"], "imageTagMutability": wanted}

    def _put_lifecycle_policy(self, asked: Asked, request: Request) -> Answer:
        name, text = request["repositoryName"], request["lifecyclePolicyText"]

        def alter(found: Repository) -> Repository:
            if any(rule["selection"]["countNumber"] < 1 for rule in json.loads(text)["rules"]):
                raise refusal("InvalidParameterException", "countNumber must be greater than 0", asked.operation)
            return replace(found, lifecycle=text)

        self.change(asked, name, about(repository_object(name)), alter)
        return {"repositoryName": name, "lifecyclePolicyText": text}

    def _set_repository_policy(self, asked: Asked, request: Request) -> Answer:
        self._set(asked, request, policy=request["policyText"])
        return {"repositoryName": request["repositoryName"], "policyText": request["policyText"]}

    def _delete_repository_policy(self, asked: Asked, request: Request) -> Answer:
        def alter(found: Repository) -> Repository:
            if found.policy is None:
                raise _no_policy(asked)
            return replace(found, policy=None)

        name = request["repositoryName"]
        self.change(asked, name, about(repository_object(name)), alter)
        return {"repositoryName": name}

    def _delete_repository(self, asked: Asked, request: Request) -> Answer:
        def alter(found: Repository) -> None:
            if found.images and not request.get("force"):
                message = f"The repository with name '{found.name}' cannot be deleted because it still contains images"
                raise refusal("RepositoryNotEmptyException", message, asked.operation)

        name = request["repositoryName"]
        self.change(asked, name, about(repository_object(name)), alter)
        return {"repository": {"repositoryName": name, "repositoryArn": repository_arn(name)}}

    def _put_image(self, asked: Asked, request: Request) -> Answer:
        name, text = request["repositoryName"], request["imageManifest"]
        digest, tag = f"sha256:{sha256(text.encode()).hexdigest()}", request.get("imageTag")
        fresh = Image(digest, text, request.get("imageManifestMediaType", MEDIA_TYPE), self._wall(), ())

        def alter(found: Repository) -> Repository:
            _check_put(found, digest, request, asked)
            image = found.images.get(digest, fresh)
            others = {one.digest: _untagged(one, tag) for one in found.images.values()}
            tags = (*image.tags, tag) if tag else image.tags
            return replace(found, images={**others, digest: replace(image, tags=tags)})

        after = self.change(asked, name, about(image_object(name, digest)), alter)
        if after is None:
            raise AssertionError("an image that is put leaves its repository where it is")
        return {"image": _whole(after, after.images[digest], {"imageDigest": digest, "imageTag": tag})}

    def _batch_delete_image(self, asked: Asked, request: Request) -> Answer:
        name, gone, failures = request["repositoryName"], [], []
        for wanted in request["imageIds"]:
            repository = self.shelf.get(name)
            image = _find(repository, wanted) if repository else None
            if image is None and repository is not None:
                failures.append(_not_there(wanted))
                continue
            digest = image.digest if image is not None else wanted.get("imageDigest")
            if digest is None:
                raise self.missing(name, asked.operation)  # with the repository has gone which image had the tag
            after = self.change(asked, name, about(image_object(name, digest)), partial(_without, wanted=wanted))
            if image is not None and after is not None:
                gone.append({**wanted, "imageDigest": image.digest})
        return {"imageIds": gone, "failures": failures}

    def _set(self, asked: Asked, request: Request, **settings: object) -> None:
        name = request["repositoryName"]
        self.change(asked, name, about(repository_object(name)), lambda found: replace(found, **settings))  # type: ignore[arg-type] # as named there

    def _image(self, repository: Repository, wanted: Request, asked: Asked) -> Image:
        image = _find(repository, wanted)
        if image is None:
            message = f"The image with imageId {dict(wanted)} does not exist within the repository '{repository.name}'"
            raise refusal("ImageNotFoundException", message, asked.operation)
        return image


def _check_put(found: Repository, digest: str, request: Request, asked: Asked) -> None:
    tag = request.get("imageTag")
    if request.get("imageDigest") not in (None, digest):
        raise refusal("ImageDigestDoesNotMatchException", "The digest is not the manifest's", asked.operation)
    holder = _find(found, {"imageTag": tag}) if tag else None
    if holder is not None and holder.digest == digest:
        raise refusal("ImageAlreadyExistsException", f"Image with tag '{tag}' already exists", asked.operation)
    if holder is not None and found.mutability == "IMMUTABLE":
        message = f"The image tag '{tag}' already exists, and cannot be overwritten because the repository is immutable"
        raise refusal("ImageTagAlreadyExistsException", message, asked.operation)


def _find(repository: Repository, wanted: Request) -> Image | None:
    digest, tag = wanted.get("imageDigest"), wanted.get("imageTag")
    if digest is not None:
        return repository.images.get(digest)
    return next((image for image in repository.images.values() if tag in image.tags), None)


def _without(repository: Repository, *, wanted: Request) -> Repository:
    """By digest an image goes with all its tags; by tag alone it goes with the last one."""
    image = _find(repository, wanted)
    if image is None:
        return repository
    left = None if wanted.get("imageDigest") else _untagged(image, wanted["imageTag"])
    images = {digest: one for digest, one in repository.images.items() if digest != image.digest}
    if left is not None and left.tags:
        images = {digest: left if digest == image.digest else one for digest, one in repository.images.items()}
    return replace(repository, images=images)


def _untagged(image: Image, tag: str | None) -> Image:
    return replace(image, tags=tuple(one for one in image.tags if one != tag)) if tag in image.tags else image


def repository_arn(name: str) -> str:
    """The ARN of a repository."""
    return _ARN + name


def _name(arn: str) -> str:
    return arn.removeprefix(_ARN)


def _no_policy(asked: Asked) -> ClientError:
    return refusal("RepositoryPolicyNotFoundException", "Repository policy does not exist", asked.operation)


def _not_there(wanted: Request) -> Answer:
    return {
        "imageId": dict(wanted),
        "failureCode": "ImageNotFound",
        "failureReason": "Requested image not found",
    }


def _described(repository: Repository) -> Answer:
    return {
        "repositoryArn": repository.arn,
        "registryId": ACCOUNT,
        "repositoryName": repository.name,
        "repositoryUri": f"{_REGISTRY}/{repository.name}",
        "createdAt": datetime.fromtimestamp(repository.created_s, UTC),
        "imageTagMutability": repository.mutability,
        "imageScanningConfiguration": {"scanOnPush": repository.scan_on_push},
        "encryptionConfiguration": dict(repository.encryption),
    }


def _detail(repository: Repository, image: Image) -> Answer:
    return {
        "registryId": ACCOUNT,
        "repositoryName": repository.name,
        "imageDigest": image.digest,
        **({"imageTags": list(image.tags)} if image.tags else {}),
        "imageSizeInBytes": len(image.manifest),
        "imagePushedAt": datetime.fromtimestamp(image.pushed_s, UTC),
        "imageManifestMediaType": image.media_type,
    }


def _whole(repository: Repository, image: Image, wanted: Request) -> Answer:
    return {
        "registryId": ACCOUNT,
        "repositoryName": repository.name,
        "imageId": {key: value for key, value in {**wanted, "imageDigest": image.digest}.items() if value},
        "imageManifest": image.manifest,
        "imageManifestMediaType": image.media_type,
    }


def _seen(repository: Repository) -> list[Seen]:
    content = {
        "tags": dict(own_tags(repository.tags)),
        "mutability": repository.mutability,
        "scan_on_push": repository.scan_on_push,
        "lifecycle": repository.lifecycle,
        "policy": repository.policy,
    }
    images = [
        Seen(image_object(repository.name, image.digest), ECR, "Image", repository.marks, {"tags": sorted(image.tags)})
        for image in repository.images.values()
    ]
    return [Seen(repository_object(repository.name), ECR, "Repository", repository.marks, content), *images]
