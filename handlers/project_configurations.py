"""What a project is given wherever it is deployed: kept in the agent's own namespace, read by every deploy."""

import json

from agentd.core import Context, PermanentError, Reason
from agentd.events import ProjectConfigure
from agentd.platform import Cluster, ClusterDefaults, keys
from handlers import identity_templates
from handlers.manifests.projects import ProjectConfiguration, configuration, configuration_ref
from handlers.rights import APPLY, SYSTEM, kubernetes

FACET = "config"
WRITE = "write configuration"
REMOVE = "remove configuration"
PERMISSIONS = kubernetes(("configmaps",), *APPLY, "delete", namespace=SYSTEM)


def desired(ctx: Context) -> ProjectConfiguration:
    """The newest configuration that has been claimed. PermanentError(invalid_request) when its identity is no template."""
    # A create's desired configuration is a configure's without settings.
    found = ProjectConfigure.model_validate_json(json.dumps(ctx.desired(FACET)))
    if found.default_identity is not None:
        identity_templates.check(found.default_identity)
    return ProjectConfiguration(
        project_id=found.project_id,
        project_name=found.project_name,
        identity=found.default_identity,
        settings=found.settings,
    )


async def write(ctx: Context, project: ProjectConfiguration) -> None:
    """Bring the project's configuration to what is desired."""
    manifest = configuration(project, ctx.port(ClusterDefaults))
    await ctx.step(WRITE, lambda: ctx.port(Cluster).apply(manifest, fence=ctx.fence))


async def remove(ctx: Context, project_name: str) -> None:
    """Delete the project's configuration; none is success."""
    ref = configuration_ref(project_name, ctx.port(ClusterDefaults))
    await ctx.step(REMOVE, lambda: ctx.port(Cluster).delete(ref, fence=ctx.fence))


async def read(ctx: Context, *, project_id: str, project_name: str) -> ProjectConfiguration:
    """The project's configuration; an empty one when it has none. PermanentError(foreign_object) when it is another's."""
    ref = configuration_ref(project_name, ctx.port(ClusterDefaults))
    found = await ctx.port(Cluster).get(ref)
    if found is None:
        return ProjectConfiguration(project_id, project_name)
    labels = found["metadata"].get("labels") or {}
    if (labels.get(keys.OWNER_ID), labels.get(keys.PROJECT_ID)) != (ctx.fence.owner_id, project_id):
        raise PermanentError(Reason.FOREIGN_OBJECT, f"{ref} is not the agent's own, or not of project/{project_id}")
    try:
        return ProjectConfiguration.of(found)
    except (KeyError, ValueError) as error:
        raise PermanentError(
            Reason.INVALID_REQUEST, f"{ref} cannot be read ({error!r}): send project.configure for {project_name}"
        ) from error
