"""What each event means, as idempotent steps: one module per subject."""

from agentd.core import Handler
from handlers import builds, environments, packages, projects

HANDLERS: tuple[Handler, ...] = (
    projects.create,
    projects.delete,
    projects.configure,
    projects.reconcile,
    packages.create,
    packages.delete,
    packages.reconcile,
    builds.cleanup,
    environments.create,
    environments.update,
    environments.deploy,
    environments.hibernate,
    environments.wake,
    environments.reconcile,
    environments.unlock,
    environments.delete,
)

__all__ = ["HANDLERS"]
