"""What the databases' tests share: an adapter of one's own on a server, and ways into it."""

from dataclasses import dataclass, field
from uuid import uuid4

import asyncpg

from agentd.core import Plan, PlannedChange, Subject, system_runtime
from agentd.platform import DatabaseSpec
from agentd.platform.config import AirflowDatabaseConfig
from agentd.platform.planning import PlanningDatabases
from agentd.platform.postgresql import PostgresDatabases
from agentd.telemetry import Metrics
from tests.conformance.registry.support import RecordingFence, new_subject
from tests.servers.postgresql import PostgresServer

PASSWORD = "a-password_of.its-own"  # noqa: S105 - of a server that is gone with the test


def configured(server: PostgresServer, **changes: object) -> AirflowDatabaseConfig:
    """Settings for the server; certificates and names are checked."""
    settings: dict[str, object] = {
        "place": "external",
        "host": "localhost",
        "port": server.port,
        "sslmode": "verify-full",
        "ca_file": server.ca,
        "admin": server.admin,
        "admin_password_file": server.password_file,
    }
    return AirflowDatabaseConfig.model_validate(settings | changes)


@dataclass
class Bench:
    """The adapter, a database that nobody else uses, and a subject that it belongs to."""

    server: PostgresServer
    owner_id: str = field(default_factory=lambda: str(uuid4()))
    subject: Subject = field(default_factory=lambda: new_subject("environment"))

    def __post_init__(self) -> None:
        self.config = configured(self.server)
        self.databases = PostgresDatabases(self.config, metrics=Metrics(), runtime=system_runtime())
        name = f"airflow-{uuid4().hex[:8]} \"of' dev"  # whatever a template may make of it
        self.spec = DatabaseSpec(database=name, role=name)

    def fence(self, generation: int = 1) -> RecordingFence:
        """A lease of the subject."""
        return RecordingFence(self.subject, self.owner_id, generation)

    async def ensured(self, generation: int = 1, password: str = PASSWORD) -> RecordingFence:
        """Ensure it; what was asked of the fence."""
        fence = self.fence(generation)
        await self.databases.ensure(self.spec, password, fence=fence)
        return fence

    async def planned(self, generation: int = 1, password: str = PASSWORD) -> list[PlannedChange]:
        """What a plan of the same says."""
        plan = Plan()
        await PlanningDatabases(self.databases, plan).ensure(self.spec, password, fence=self.fence(generation))
        return list(plan)

    async def connect(self, role: str | None = None, password: str = PASSWORD) -> "asyncpg.Connection":
        """Into the database as this role, else as its own."""
        return await asyncpg.connect(
            host="127.0.0.1",
            port=self.server.port,
            database=self.spec.database,
            user=role or self.spec.role,
            password=password,
            ssl="require",
        )

    def role_sql(self, statement: str) -> str:
        """A statement in which %s stands for the role."""
        quoted = self.spec.role.replace('"', '""')
        return statement.replace("%s", f'"{quoted}"')
