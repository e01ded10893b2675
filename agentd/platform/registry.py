"""The image registry port."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from agentd.core import Fence, PermanentError, Reason

# A tag with this prefix marks an image that a deployment uses: `deployed-to.<environment>`. The deploy sets it, the
# undeploy removes it. It keeps the image out of lifecycle expiry and makes clean-up and delete refuse.
DEPLOYED_TAG_PREFIX = "deployed-to."


@dataclass(frozen=True, slots=True)
class LifecyclePolicy:
    """Which images expire. Images with a deployed tag never do.

    `untagged_days`: untagged ones after so many days. `keep_images`: of the others, how many of the newest stay.
    """

    untagged_days: int = 7
    keep_images: int = 500


@dataclass(frozen=True, slots=True)
class RepositoryAccess:
    """Who else may pull and push, as principals that the provider knows (ARNs on AWS). Empty: nobody but the account."""

    pull: tuple[str, ...] = ()
    push: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RepositorySpec:
    """A repository as it is wanted. `subject` is the project or package that it belongs to."""

    name: str
    lifecycle: LifecyclePolicy = LifecyclePolicy()
    access: RepositoryAccess = RepositoryAccess()
    scan_on_push: bool = True
    immutable_tags: bool = True
    kms_key: str | None = None
    """Encrypts with this key instead of the provider's own; cannot be changed later."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository as it is. Owner, subject and generation are None on one that is not the agent's."""

    name: str
    uri: str
    scan_on_push: bool
    immutable_tags: bool
    owner_id: str | None
    subject: str | None
    generation: int | None
    retained: bool
    created_at: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a repository."""

    digest: str
    tags: tuple[str, ...]
    size_bytes: int | None = None
    pushed_at: datetime | None = None
    media_type: str | None = None

    @property
    def deployed_to(self) -> tuple[str, ...]:
        """Environments that use it."""
        prefix = DEPLOYED_TAG_PREFIX
        return tuple(sorted(tag.removeprefix(prefix) for tag in self.tags if tag.startswith(prefix)))


def refuse_deployed(obj: str, images: Iterable[Image]) -> None:
    """Raise PermanentError(in_use) that names the environments, if a deployment uses one of the images."""
    environments = sorted({environment for image in images for environment in image.deployed_to})
    if environments:
        raise PermanentError(Reason.IN_USE, f"{obj} is in use: deployed to {', '.join(environments)}")


@dataclass(frozen=True, slots=True)
class RegistryCredentials:
    """A short-lived login. The password never appears in a log or repr."""

    registry: str
    username: str
    password: str = field(repr=False)
    expires_at: datetime


class ImageRegistry(ABC):
    """Repositories and images of one account.

    Reads beside the plain ones say what is there in the terms of what is wanted, so that both can be compared.

    Every mutating call takes the fence of the subject on whose behalf it is done, reads before it writes, writes only
    what differs, and reads the result back. It raises PermanentError(foreign_object) for a repository without the agent's
    own owner id or of another subject (I11), LeaseLost when the repository carries a newer generation than the fence's
    (I4), and TransientError or PermanentError with the operation, the repository and the provider's code and request id
    for everything else.
    """

    @abstractmethod
    async def get(self, name: str) -> Repository | None:
        """The repository, or None."""

    @abstractmethod
    async def repositories(self) -> Sequence[Repository]:
        """All repositories that are the agent's own."""

    @abstractmethod
    def object_name(self, name: str, digest: str | None = None) -> str:
        """What fences, plans and errors call a repository, or one of its images."""

    @abstractmethod
    async def lifecycle(self, name: str) -> LifecyclePolicy | str | None:
        """The lifecycle policy; as the provider's own text when it is none of ours. None without one."""

    @abstractmethod
    async def access(self, name: str) -> RepositoryAccess | str:
        """Who else may pull and push; the provider's own text when it says more than that."""

    @abstractmethod
    def spelled(self, access: RepositoryAccess) -> RepositoryAccess:
        """The same principals, as `access` would read them back: each once, in order, in the provider's one spelling."""

    @abstractmethod
    async def ensure(self, spec: RepositorySpec, *, fence: Fence) -> Repository:
        """Create the repository with tags and settings, or bring scan-on-push and tag immutability to what is wanted.

        Lifts a retained mark of the same subject. A newer generation with equal content writes the stamp alone.
        """

    @abstractmethod
    async def ensure_lifecycle(self, name: str, policy: LifecyclePolicy, *, fence: Fence) -> None:
        """Bring the lifecycle policy to what is wanted."""

    @abstractmethod
    async def ensure_access(self, name: str, access: RepositoryAccess, *, fence: Fence) -> None:
        """Bring the repository policy to what is wanted; no principals, no policy."""

    @abstractmethod
    async def retain(self, name: str, *, fence: Fence) -> None:
        """Mark the repository as left behind by its subject's delete. None to mark is success."""

    @abstractmethod
    async def delete(self, name: str, *, force: bool, fence: Fence) -> None:
        """Delete the repository; one that is gone is success.

        PermanentError(in_use) names the environments that use an image, whatever `force` says; PermanentError(not_empty)
        when it holds images and `force` is off.
        """

    @abstractmethod
    async def images(self, name: str) -> Sequence[Image]:
        """All images of a repository, every page; empty when there is no repository."""

    @abstractmethod
    async def image(self, name: str, tag_or_digest: str) -> Image | None:
        """One image by tag or digest, or None."""

    @abstractmethod
    async def delete_image(self, name: str, tag_or_digest: str, *, fence: Fence) -> bool:
        """Delete an image with all its tags; whether there was one. PermanentError(in_use) as for `delete`.

        The fence is the build's; the repository must carry the agent's own owner id.
        """

    @abstractmethod
    async def mark_deployed(self, name: str, tag_or_digest: str, environment: str, *, fence: Fence) -> Image:
        """Mark the image as the one that an environment uses; any other image of the repository loses the mark.

        The fence is the environment's; the repository must carry the agent's own owner id. PermanentError(image_missing)
        when there is no such image. After a crash no image may have the mark: mark again before anything is cleaned up.
        """

    @abstractmethod
    async def unmark_deployed(self, name: str, environment: str, *, fence: Fence) -> bool:
        """Remove an environment's mark, and no image; whether there was one. No repository is success.

        The fence is the environment's; the repository must carry the agent's own owner id.
        """

    @abstractmethod
    async def credentials(self) -> RegistryCredentials:
        """A login for the whole registry, for the agent's own use."""
