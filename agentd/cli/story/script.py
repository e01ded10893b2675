"""The lines of a story, written down. Events are named by what they do, and their ids follow from the name."""

from collections.abc import Mapping
from dataclasses import replace

from agentd.cli.control_plane import event
from agentd.cli.story.acts import Deed, Expected, Telling, id_of
from agentd.events import (
    BuildCleanup,
    EnvironmentCreate,
    EnvironmentDelete,
    EnvironmentDeploy,
    EnvironmentHibernate,
    EnvironmentSpec,
    EnvironmentUpdate,
    EnvironmentWake,
    EventData,
    PackageCreate,
    ProjectConfigure,
    ProjectCreate,
    ProjectDelete,
    ProjectDeployment,
    Quotas,
)

_MORE_PODS = EnvironmentSpec(quotas=Quotas(pods=1000))


class Script:
    """Writes the lines; an event of the same name is the same event."""

    def __init__(self) -> None:
        self._bodies: dict[str, str] = {}

    def create(self, project: str, generation: int, expected: Expected, note: str = "") -> Telling:
        """Create a project, or bring it to a newer generation."""
        data = ProjectCreate(project_id=id_of(f"project {project}"), project_name=project)
        return self._line(f"create {project} {generation}", note, data, generation, expected)

    def create_package(self, package: str, generation: int, expected: Expected) -> Telling:
        """Create a package."""
        data = PackageCreate(package_id=id_of(f"package {package}"), package_name=package)
        return self._line(f"create package {package} {generation}", "", data, generation, expected)

    def delete(
        self, project: str, generation: int, expected: Expected, note: str = "", *, force: bool = False
    ) -> Telling:
        """Delete a project."""
        data = ProjectDelete(project_id=id_of(f"project {project}"), project_name=project, force=force)
        return self._line(f"delete {project} {generation}", note, data, generation, expected)

    def configure(self, project: str, generation: int, expected: Expected) -> Telling:
        """Give a project a default identity."""
        data = ProjectConfigure(
            project_id=id_of(f"project {project}"), project_name=project, default_identity="jobs-{{ .Env }}"
        )
        return self._line(f"configure {project} {generation}", "", data, generation, expected)

    def create_environment(
        self, name: str, generation: int, expected: Expected, note: str = "", *, before: Deed | None = None
    ) -> Telling:
        """Create an environment."""
        data = EnvironmentCreate(environment_id=id_of(f"environment {name}"), environment_name=name)
        line = self._line(f"create environment {name} {generation}", note, data, generation, expected)
        return replace(line, before=before)

    def update_environment(self, name: str, generation: int, expected: Expected) -> Telling:
        """Give an environment room for more pods."""
        data = EnvironmentUpdate(environment_id=id_of(f"environment {name}"), environment_name=name, spec=_MORE_PODS)
        return self._line(f"update {name} {generation}", "more pods", data, generation, expected)

    def deploy(self, name: str, generation: int, builds: Mapping[str, str], expected: Expected, note: str) -> Telling:
        """Deploy builds, by project, to an environment that has room for more pods."""
        projects = tuple(
            ProjectDeployment(project_id=id_of(f"project {project}"), project_name=project, build_id=id_of(build))
            for project, build in builds.items()
        )
        data = EnvironmentDeploy(
            environment_id=id_of(f"environment {name}"), environment_name=name, spec=_MORE_PODS, projects=projects
        )
        return self._line(f"deploy {name} {generation}", note, data, generation, expected)

    def hibernate(self, name: str, generation: int, expected: Expected) -> Telling:
        """Stop what an environment runs."""
        data = EnvironmentHibernate(environment_id=id_of(f"environment {name}"), environment_name=name)
        return self._line(f"hibernate {name} {generation}", "", data, generation, expected)

    def wake(self, name: str, generation: int, expected: Expected) -> Telling:
        """Start it again."""
        data = EnvironmentWake(environment_id=id_of(f"environment {name}"), environment_name=name)
        return self._line(f"wake {name} {generation}", "", data, generation, expected)

    def delete_environment(self, name: str, generation: int, expected: Expected, note: str = "") -> Telling:
        """Delete an environment."""
        data = EnvironmentDelete(environment_id=id_of(f"environment {name}"), environment_name=name)
        return self._line(f"delete {name} {generation}", note, data, generation, expected)

    def clean_up(self, build: str, expected: Expected, note: str) -> Telling:
        """Clean up a build of `alpha`."""
        data = BuildCleanup(build_id=id_of(build), project_id=id_of("project alpha"), project_name="alpha")
        return self._line(f"clean up {build}", note, data, 1, expected)

    def again(self, name: str, expected: Expected, note: str) -> Telling:
        """The very same event as before: the second report of its epoch, or the first of its next."""
        return Telling(f"{name}, {note}", self._bodies[name], id_of(name), expected, count=3 - expected.epoch)

    def unknown(self) -> Telling:
        """A valid envelope of a type that nobody knows."""
        body = self._bodies["create alpha 1"].replace("project.create.v1", "project.praise.v1")
        body = body.replace(id_of("create alpha 1"), id_of("praise"))
        return Telling("a type that nobody knows", body, id_of("praise"), Expected("rejected", reason="unknown_type"))

    def _line(self, name: str, note: str, data: EventData, generation: int, expected: Expected) -> Telling:
        self._bodies[name] = event(data, generation, event_id=id_of(name))
        return Telling(f"{name}, {note}" if note else name, self._bodies[name], id_of(name), expected)
