"""Whether projects can be deployed: everything that is in the way of any of them is found before anything is written."""

from collections.abc import Mapping
from dataclasses import dataclass

from agentd.core import Context, PermanentError, Reason, side_by_side
from agentd.events import ProjectDeployment
from agentd.platform import Identities, Image, ImageRegistry, Repository
from handlers import identity_templates, project_configurations
from handlers.environments import desired
from handlers.environments.problems import Problems
from handlers.environments.projects import KIND, repository_of
from handlers.environments.trust import check_trust
from handlers.manifests import Environment
from handlers.manifests.access import SERVICE_ACCOUNTS
from handlers.manifests.labels import kubernetes_name
from handlers.manifests.projects import DeployedProject, ProjectConfiguration

# Service accounts that every namespace has, and those that every environment has.
_TAKEN = frozenset({"default", *SERVICE_ACCOUNTS})


@dataclass(frozen=True, slots=True)
class _Found:
    """What there is of one project. Without a repository of its own there is nothing else of it."""

    project: ProjectDeployment
    repository: Repository | None
    image: Image | None = None
    configuration: ProjectConfiguration | PermanentError | None = None


async def check_projects(ctx: Context, environment: Environment) -> list[DeployedProject]:
    """The projects as they are to be deployed. Raises PermanentError or NotReady with every problem of every project."""
    wanted = desired.wanted(desired.projects(ctx))
    problems = Problems()
    found = await side_by_side(wanted, lambda project: _look(ctx, project))
    checked = [_judge(ctx, environment, one, problems) for one in found]
    known = [project for project in checked if project is not None]
    await side_by_side(known, lambda project: _check_trust(ctx, environment.name, project, problems))
    problems.raise_any()
    return known


async def _check_trust(ctx: Context, environment: str, project: DeployedProject, problems: Problems) -> None:
    if project.identity is None:
        return
    try:
        await check_trust(ctx, project.identity, [(environment, kubernetes_name(project.project_name))])
    except PermanentError as error:
        problems.add(error.reason, f"project {project.project_name}: {error.message}")


async def _look(ctx: Context, project: ProjectDeployment) -> _Found:
    registry, name = ctx.port(ImageRegistry), repository_of(ctx, project.project_name)
    repository = await registry.get(name)
    if repository is None or not _is_own(ctx, repository, project):
        return _Found(project, repository)
    image = await registry.image(name, project.build_id)
    configuration: ProjectConfiguration | PermanentError
    try:
        configuration = await project_configurations.read(
            ctx, project_id=project.project_id, project_name=project.project_name
        )
    except PermanentError as error:
        configuration = error  # told with everything else that is wrong
    return _Found(project, repository, image, configuration)


def _judge(ctx: Context, environment: Environment, found: _Found, problems: Problems) -> DeployedProject | None:
    """The project as it is to be deployed, or None and at least one problem more."""
    project, repository = found.project, found.repository
    _check_name(project, problems)
    settings, identity = _given(environment.name, found, problems)
    if not _check_repository(ctx, found, problems) or repository is None:
        return None
    image = _checked_image(found, repository, problems)
    if image is None:
        return None
    return DeployedProject(
        project_id=project.project_id,
        project_name=project.project_name,
        build_id=project.build_id,
        digest=image.digest,
        image=f"{repository.uri}@{image.digest}",
        identity=identity,
        annotations=ctx.port(Identities).annotations(identity) if identity and ctx.has_port(Identities) else {},
        settings=settings,
    )


def _checked_image(found: _Found, repository: Repository, problems: Problems) -> Image | None:
    project, image = found.project, found.image
    if image is None:
        problems.add(
            Reason.IMAGE_MISSING,
            f"project {project.project_name}: build {project.build_id} is not in repository {repository.name}",
        )
        return None
    if project.image_digest not in (None, image.digest):
        problems.add(
            Reason.IMAGE_MISSING,
            f"project {project.project_name}: build {project.build_id} is image {image.digest}; "
            f"the event asks for {project.image_digest}",
        )
        return None
    return image


def _check_name(project: ProjectDeployment, problems: Problems) -> None:
    name = kubernetes_name(project.project_name)
    if name in _TAKEN:
        problems.add(
            Reason.INVALID_REQUEST,
            f"project {project.project_name}: {name} is a service account of every environment; rename the project",
        )


def _check_repository(ctx: Context, found: _Found, problems: Problems) -> bool:
    project, repository = found.project, found.repository
    if repository is None:
        problems.wait_for(f"project {project.project_name} has not been created yet")
        return False
    if not _is_own(ctx, repository, project):
        belongs = repository.subject or f"owner {repository.owner_id or 'nobody known'}"
        problems.add(
            Reason.FOREIGN_OBJECT,
            f"project {project.project_name}: repository {repository.name} belongs to {belongs}, "
            f"not to {_subject(project)}",
        )
        return False
    if repository.retained:
        problems.add(
            Reason.DELETED,
            f"project {project.project_name} has been deleted; its repository {repository.name} was left behind",
        )
        return False
    return True


def _is_own(ctx: Context, repository: Repository, project: ProjectDeployment) -> bool:
    return (repository.owner_id, repository.subject) == (ctx.fence.owner_id, _subject(project))


def _subject(project: ProjectDeployment) -> str:
    return f"{KIND}/{project.project_id}"


def _given(environment: str, found: _Found, problems: Problems) -> tuple[Mapping[str, str], str | None]:
    """The project's settings, and its identity in the environment."""
    project, configuration = found.project, found.configuration
    if isinstance(configuration, PermanentError):
        problems.add(configuration.reason, configuration.message)
        configuration = None
    template = project.identity or (configuration.identity if configuration else None)
    settings = configuration.settings if configuration else {}
    if template is None:
        return settings, None
    try:
        return settings, identity_templates.render(template, environment)
    except PermanentError as error:
        problems.add(error.reason, f"project {project.project_name}: {error.message}")
        return settings, None
