"""Every event that there is. A new one is a class, an entry here, and a handler."""

from collections.abc import Mapping
from types import MappingProxyType

from agentd.events.data import EventData
from agentd.events.environments import (
    EnvironmentCreate,
    EnvironmentDelete,
    EnvironmentDeploy,
    EnvironmentHibernate,
    EnvironmentReconcile,
    EnvironmentUnlock,
    EnvironmentUpdate,
    EnvironmentWake,
)
from agentd.events.projects import (
    BuildCleanup,
    PackageCreate,
    PackageDelete,
    PackageReconcile,
    ProjectConfigure,
    ProjectCreate,
    ProjectDelete,
    ProjectReconcile,
)

CATALOGUE: Mapping[str, type[EventData]] = MappingProxyType(
    {
        cls.type: cls
        for cls in (
            ProjectCreate,
            ProjectDelete,
            ProjectConfigure,
            ProjectReconcile,
            PackageCreate,
            PackageDelete,
            PackageReconcile,
            BuildCleanup,
            EnvironmentCreate,
            EnvironmentUpdate,
            EnvironmentDeploy,
            EnvironmentHibernate,
            EnvironmentWake,
            EnvironmentReconcile,
            EnvironmentUnlock,
            EnvironmentDelete,
        )
    }
)
