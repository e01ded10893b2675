"""Events of projects, packages and builds: what has a repository in the image registry."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints

from agentd.core import Lock, LockMode, Subject
from agentd.events.data import EventData, IdentityTemplate, PackageName, ProjectName
from agentd.events.envelope import Uuid

SettingName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([-._A-Za-z0-9]{0,98}[A-Za-z0-9])?$")]
SettingValue = Annotated[str, StringConstraints(max_length=4096)]


class Retention(StrEnum):
    """What becomes of images when their project or package is deleted."""

    DELETE = "delete"
    RETAIN = "retain"


class ProjectCreate(EventData):
    """Create a project: a repository for its images."""

    type = "conveyor.project.create.v1"
    facets = frozenset({"spec", "config"})
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


class ProjectConfigure(EventData):
    """Set what a project is given wherever it is deployed. Sent once to each cluster; the next deploys use it."""

    type = "conveyor.project.configure.v1"
    facets = frozenset({"config"})

    project_id: Uuid
    """The project's id; the same as in `subject`."""
    project_name: ProjectName
    """The project's name."""
    default_identity: IdentityTemplate | None = None
    """Template of the identity that the project's jobs get, over `{{ .Env }}`; none when not given."""
    settings: dict[SettingName, SettingValue] = Field(default_factory=dict, max_length=100)
    """What the project's jobs find in their project configuration, as text by name."""

    def names(self) -> tuple[tuple[str, str], ...]:
        return (("project", self.project_name),)


class ProjectReconcile(EventData):
    """Bring a project back to what is desired of it already. Nothing new is desired."""

    type = "conveyor.project.reconcile.v1"
    requires = frozenset({"spec"})
    reconciles = True

    project_id: Uuid
    """The project's id; the same as in `subject`."""
    project_name: ProjectName
    """The project's name."""

    @classmethod
    def about(cls, subject: Subject, names: Mapping[str, str]) -> Self:
        return cls(project_id=subject.uuid, project_name=names["project"])


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


class PackageReconcile(EventData):
    """Bring a package back to what is desired of it already. Nothing new is desired."""

    type = "conveyor.package.reconcile.v1"
    requires = frozenset({"spec"})
    reconciles = True

    package_id: Uuid
    """The package's id; the same as in `subject`."""
    package_name: PackageName
    """The package's name."""

    @classmethod
    def about(cls, subject: Subject, names: Mapping[str, str]) -> Self:
        return cls(package_id=subject.uuid, package_name=names["package"])


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
