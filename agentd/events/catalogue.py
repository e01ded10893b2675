"""One class per event: its data, what it replaces, what it names and what it locks.

Names and limits are those of the product, as its users know them. A new event is a class here, an entry in CATALOGUE and
a handler.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agentd.core import Lock, LockMode, Subject
from agentd.events.envelope import Uuid

# Kubernetes names and label values that carry a project's name have room for 63 characters.
ProjectName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]+([-_][a-z0-9]+)*$", min_length=2, max_length=63),
    Field(examples=["team-orders"]),
]
PackageName = ProjectName
IdentityTemplate = Annotated[str, StringConstraints(min_length=1, max_length=2048)]


class EventData(BaseModel):
    """The base of every event's `data`. Types are strict; unknown fields of a known version are ignored."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", use_attribute_docstrings=True)

    type: ClassVar[str]
    """The CloudEvents type."""
    facets: ClassVar[frozenset[str]] = frozenset()
    """What the event replaces of its subject. Empty for a command: it is never superseded."""
    creates: ClassVar[bool] = False
    """Whether the event brings its subject into being (and back after a delete)."""
    deletes: ClassVar[bool] = False
    """Whether the event ends its subject; it then covers every facet and pre-empts what runs."""

    plan: bool = False
    """A dry run: nothing is written, the report says what would be."""

    @classmethod
    def kind(cls) -> str:
        """The kind of subject, the second word of the type."""
        return cls.type.split(".")[1]

    def own_id(self) -> tuple[str, str]:
        """The field that repeats the subject's uuid, and its value."""
        field = f"{self.kind()}_id"
        return field, getattr(self, field)

    def names(self) -> tuple[tuple[str, str], ...]:
        """The (kind, name) pairs that belong to the subject for as long as it lives."""
        return ()

    def locks(self) -> tuple[Lock, ...]:
        """Other subjects that must not change, or not be read, meanwhile."""
        return ()

    def desired(self) -> dict[str, Any]:  # JSON, whose shape is the event's own
        """What the ledger keeps as the subject's desired state."""
        return self.model_dump(mode="json", exclude={"plan"})


class Retention(StrEnum):
    """What becomes of images when their project or package is deleted."""

    DELETE = "delete"
    RETAIN = "retain"


class ProjectCreate(EventData):
    """Create a project: a repository for its images."""

    type = "conveyor.project.create.v1"
    facets = frozenset({"spec"})
    creates = True

    project_id: Uuid
    """The project's id; the same as in `subject`."""
    project_name: ProjectName
    """Lower case, digits, single dashes or underscores between them."""
    default_identity: IdentityTemplate | None = None
    """Template of the identity that the project's jobs get, over `{{ .Env }}`."""

    def names(self) -> tuple[tuple[str, str], ...]:
        return (("project", self.project_name),)


class ProjectDelete(EventData):
    """Delete a project. Refused while a deployment uses one of its builds."""

    type = "conveyor.project.delete.v1"
    facets = frozenset({"spec"})
    deletes = True

    project_id: Uuid
    """The project's id; the same as in `subject`."""
    project_name: ProjectName
    """The project's name."""
    force: bool = False
    """Delete the repository although it still holds images."""
    retention: Retention = Retention.DELETE
    """`retain` leaves the repository and its images in place; it stays reserved for this project's id."""


class PackageCreate(EventData):
    """Create a package: a repository for its images."""

    type = "conveyor.package.create.v1"
    facets = frozenset({"spec"})
    creates = True

    package_id: Uuid
    """The package's id; the same as in `subject`."""
    package_name: PackageName
    """Lower case, digits, single dashes or underscores between them."""

    def names(self) -> tuple[tuple[str, str], ...]:
        return (("package", self.package_name),)


class PackageDelete(EventData):
    """Delete a package. Refused while a deployment uses one of its builds."""

    type = "conveyor.package.delete.v1"
    facets = frozenset({"spec"})
    deletes = True

    package_id: Uuid
    """The package's id; the same as in `subject`."""
    package_name: PackageName
    """The package's name."""
    force: bool = False
    """Delete the repository although it still holds images."""
    retention: Retention = Retention.DELETE
    """`retain` leaves the repository and its images in place; it stays reserved for this package's id."""


class BuildCleanup(EventData):
    """Remove one build's image from its project's repository. Refused while a deployment uses the build."""

    type = "conveyor.build.cleanup.v1"

    build_id: Uuid
    """The build's id; the same as in `subject`, and the image's tag."""
    project_id: Uuid
    """The project that the build belongs to."""
    project_name: ProjectName
    """The project's name."""

    def locks(self) -> tuple[Lock, ...]:
        return (Lock(Subject("project", self.project_id), LockMode.READ),)


CATALOGUE: Mapping[str, type[EventData]] = MappingProxyType(
    {cls.type: cls for cls in (ProjectCreate, ProjectDelete, PackageCreate, PackageDelete, BuildCleanup)}
)
