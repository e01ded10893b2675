"""Ports to what the agent acts on. Fences are enforced in their adapters and nowhere else."""

from agentd.platform.airflow import Airflow, AirflowAddress, AirflowReader, Airflows
from agentd.platform.airflow_defaults import AirflowDefaults
from agentd.platform.cluster import (
    Applied,
    Change,
    ChangeKind,
    Cluster,
    ClusterReader,
    Kind,
    Manifest,
    Node,
    ObjectRef,
    Preview,
)
from agentd.platform.cluster_defaults import ClusterDefaults
from agentd.platform.databases import Databases, DatabaseSpec, DatabaseState
from agentd.platform.identities import Identities, Identity, IdentitySpec, IdentityState, Trust
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
    "Airflow",
    "AirflowAddress",
    "AirflowDefaults",
    "AirflowReader",
    "Airflows",
    "Applied",
    "Change",
    "ChangeKind",
    "Cluster",
    "ClusterDefaults",
    "ClusterReader",
    "DatabaseSpec",
    "DatabaseState",
    "Databases",
    "Identities",
    "Identity",
    "IdentitySpec",
    "IdentityState",
    "Image",
    "ImageRegistry",
    "Kind",
    "LifecyclePolicy",
    "Manifest",
    "Node",
    "ObjectRef",
    "Preview",
    "RegistryCredentials",
    "Repository",
    "RepositoryAccess",
    "RepositoryDefaults",
    "RepositorySpec",
    "Trust",
    "refuse_deployed",
]
