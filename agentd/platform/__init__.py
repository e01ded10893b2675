"""Ports to what the agent acts on. Fences are enforced in their adapters and nowhere else."""

from agentd.platform.registry import (
    DEPLOYED_TAG_PREFIX,
    Image,
    ImageRegistry,
    LifecyclePolicy,
    RegistryCredentials,
    Repository,
    RepositoryAccess,
    RepositorySpec,
    refuse_deployed,
)
from agentd.platform.repositories import RepositoryDefaults

__all__ = [
    "DEPLOYED_TAG_PREFIX",
    "Image",
    "ImageRegistry",
    "LifecyclePolicy",
    "RegistryCredentials",
    "Repository",
    "RepositoryAccess",
    "RepositoryDefaults",
    "RepositorySpec",
    "refuse_deployed",
]
