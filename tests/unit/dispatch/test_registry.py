"""Which handlers an installation has."""

import pytest

from agentd.core import Context, handler
from agentd.dispatch import BadHandlers, load_handlers
from agentd.dispatch.registry import index
from agentd.events import CATALOGUE, EventData, ProjectCreate


@handler(ProjectCreate, steps=(), timeout_s=60)
async def one(_ctx: Context, _data: ProjectCreate) -> None:
    """A handler."""


class Unlisted(EventData):
    """An event that is not in the catalogue, under the type of one that is."""

    type = ProjectCreate.type


@handler(Unlisted, steps=(), timeout_s=60)
async def stranger(_ctx: Context, _data: Unlisted) -> None:
    """A handler of it."""


def test_the_installed_handlers_cover_the_catalogue() -> None:
    handlers = load_handlers()
    assert set(handlers) == set(CATALOGUE)
    assert all(found.event is CATALOGUE[event_type] for event_type, found in handlers.items())
    assert all(found.permissions for found in handlers.values())


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ([("x (m:y)", one.run)], r"entry point x \(m:y\) offers .* not declared with @handler"),
        ([("x", stranger)], "entry point x handles conveyor.project.create.v1, which is not in the catalogue"),
        ([("x", one), ("y", one)], "conveyor.project.create.v1 has two handlers: from x and from y"),
    ],
)
def test_what_is_no_use_is_named_with_its_origin(found: list[tuple[str, object]], says: str) -> None:
    with pytest.raises(BadHandlers, match=says):
        index(found)
