"""Settings of the ports."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from agentd.core import Config
from agentd.platform.registry import LifecyclePolicy, RepositoryAccess
from agentd.platform.repositories import RepositoryDefaults

# ECR's own rule for one part of a repository's name or more. Source: the API reference of CreateRepository.
_PREFIX = r"^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$"


class RegistryConfig(Config):
    """The image registry, and what a repository is given when it is created."""

    repository_prefix: Annotated[str, StringConstraints(pattern=_PREFIX, max_length=150)] = "conveyor/data-plane"
    """Every repository's name begins with it, then /project/<name> or /package/<name>; it also limits what the agent's
    identity must be allowed to touch."""
    expire_untagged_days: Annotated[int, Field(ge=1, le=3650)] = 7
    """Images without a tag go after so many days: a week is enough to notice a wrong push."""
    keep_images: Annotated[int, Field(ge=1, le=100_000)] = 500
    """So many of the newest images stay, beside those that a deployment uses: about a year of builds of a busy project."""
    scan_on_push: bool = True
    """Scan each image for known vulnerabilities when it is pushed."""
    immutable_tags: bool = True
    """A tag names one build for ever; a deployment can rely on it."""
    kms_key: str | None = None
    """ARN, id or alias of the KMS key for new repositories; the provider's own encryption when not given."""
    pull_principals: tuple[str, ...] = ()
    """ARNs or account numbers that may pull beside this account: the nodes of a cluster in another account."""
    push_principals: tuple[str, ...] = ()
    """ARNs or account numbers that may push beside this account."""
    call_timeout_s: Annotated[float, Field(gt=0, le=120)] = 10.0
    """The longest that one call may take, in seconds; ECR answers within one, deletes of full repositories within five.
    What remains of the lease shortens it further."""
    page_size: Annotated[int, Field(ge=1, le=1000)] = 1000
    """Items per page of a listing: as many as ECR gives."""
    parallel_reads: Annotated[int, Field(ge=1, le=50)] = 8
    """Calls at once while all repositories are read: below ECR's default rates."""

    def defaults(self) -> RepositoryDefaults:
        """What handlers need of it."""
        return RepositoryDefaults(
            prefix=self.repository_prefix,
            lifecycle=LifecyclePolicy(untagged_days=self.expire_untagged_days, keep_images=self.keep_images),
            access=RepositoryAccess(pull=self.pull_principals, push=self.push_principals),
            scan_on_push=self.scan_on_push,
            immutable_tags=self.immutable_tags,
            kms_key=self.kms_key,
        )


class ArtifactsConfig(Config):
    """Where large events and reports are kept: a bucket, or a folder on one machine. Neither: no claim checks."""

    bucket: str | None = None
    """S3 bucket of the data plane."""
    prefix: Annotated[str, StringConstraints(pattern=r"^[^/].*[^/]$|^[^/]$", max_length=200)] = "conveyor"
    """Keys begin with it and a slash; nothing outside is read or written."""
    directory: Path | None = None
    """Folder, for one machine."""
    transfer_timeout_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    """The longest that one transfer may take, in seconds: events are small, a stuck one should be tried again soon."""

    @model_validator(mode="after")
    def _one_store(self) -> Self:
        if self.bucket is not None and self.directory is not None:
            raise ValueError("set bucket or directory, not both")
        return self
