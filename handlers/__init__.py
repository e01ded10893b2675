"""What each event means, as idempotent steps: one module per subject."""

from agentd.core import Handler
from handlers import builds, packages, projects

HANDLERS: tuple[Handler, ...] = (
    projects.create,
    projects.delete,
    packages.create,
    packages.delete,
    builds.cleanup,
)

__all__ = ["HANDLERS"]
