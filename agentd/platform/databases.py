"""The database port: one server, with a database and a role of its own for each environment."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from agentd.core import Fence, PermanentError, Reason
from agentd.platform.ownership import check_own


@dataclass(frozen=True, slots=True)
class DatabaseSpec:
    """A database, and the role that owns it. Names are unique on the server."""

    database: str
    role: str


@dataclass(frozen=True, slots=True)
class RoleState:
    """The role as it is. `owner_id`, `subject` and `generation` are None on one that is not the agent's."""

    name: str
    owner_id: str | None
    subject: str | None
    generation: int | None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """What there is of a database and its role."""

    role: RoleState | None
    database_owner: str | None
    """The role that owns the database; None when there is no database."""
    is_private: bool = False
    """Whether the database lets in nobody but its owner, and those that somebody has granted it to."""
    logs_in: bool = False
    """Whether the role gets in with the password; False as long as one of the two is missing."""


class Databases(ABC):
    """The databases of one server.

    Mutating calls take the fence of the subject on whose behalf they are done, and one lock on the server for each role, under
    which they read before they write. They raise PermanentError(foreign_object) for a role without the agent's own owner id or
    of another subject, or a database that another role owns (I11), LeaseLost when the role carries a newer generation than the
    fence's (I4), and TransientError or PermanentError with the operation, the object and the server's code otherwise.
    """

    @abstractmethod
    def role_object(self, role: str) -> str:
        """What fences, plans and errors call a role."""

    @abstractmethod
    def database_object(self, database: str) -> str:
        """The same for a database."""

    @abstractmethod
    async def state(self, spec: DatabaseSpec, password: str | None = None) -> DatabaseState:
        """What there is. Without a password nobody tries to get in."""

    @abstractmethod
    async def ensure(self, spec: DatabaseSpec, password: str, *, fence: Fence) -> None:
        """Create the role, with this password in ASCII, and its database, or bring both to what is wanted.

        A newer generation with equal content writes the stamp alone. What is in the database is never touched.
        """

    @abstractmethod
    async def delete(self, spec: DatabaseSpec, *, fence: Fence) -> None:
        """Delete the database with all that is in it, cutting off who is connected, then its role. Gone is success.

        PermanentError(in_use) when the role owns something elsewhere on the server; it is then left.
        """


def check_ours(databases: Databases, spec: DatabaseSpec, found: DatabaseState, fence: Fence) -> None:
    """Return when the fence's holder may write to the role and to the database; raises as `Databases` says."""
    if found.role is not None:
        check_own(databases.role_object(spec.role), found.role, fence)
    if found.database_owner not in (None, spec.role):
        raise PermanentError(
            Reason.FOREIGN_OBJECT,
            f"{databases.database_object(spec.database)} belongs to role {found.database_owner}, not to {spec.role}; "
            "it was left untouched",
        )
