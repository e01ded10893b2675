"""Every event that there is. A new one is a class, an entry here, and a handler."""

from collections.abc import Mapping
from types import MappingProxyType

from agentd.events.data import EventData
from agentd.events.environments import (
    EnvironmentCreate,
    EnvironmentDelete,
    EnvironmentDeploy,
    EnvironmentHibernate,
    EnvironmentUnlock,
    EnvironmentUpdate,
    EnvironmentWake,
)
from agentd.events.projects import (
    BuildCleanup,
    PackageCreate,
    PackageDelete,
    ProjectConfigure,
    ProjectCreate,
    ProjectDelete,
)

CATALOGUE: Mapping[str, type[EventData]] = MappingProxyType(
    {
        cls.type: cls
        for cls in (
            ProjectCreate,
            ProjectDelete,
            ProjectConfigure,
            PackageCreate,
            PackageDelete,
            BuildCleanup,
            EnvironmentCreate,
            EnvironmentUpdate,
            EnvironmentDeploy,
            EnvironmentHibernate,
            EnvironmentWake,
            EnvironmentUnlock,
            EnvironmentDelete,
        )
    }
)
