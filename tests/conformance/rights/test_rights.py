"""With the rights that are generated everything can be done; with one less something is refused, by the right's own name.

On a real API server these are roles of a service account; the embedded one denies what is not to be held. What the real one
alone checks is that nobody grants what he does not hold.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agentd.cli.grants import api_resource, everywhere_of, inside_of
from agentd.cli.permissions import default_groups, of_handlers, of_proxy, of_states
from agentd.core import Permission
from agentd.dispatch import load_handlers
from agentd.embedded import EmbeddedCloud
from agentd.platform.aws.session import AwsSession
from agentd.platform.config import ClusterConfig
from handlers.environments.rights import granted
from tests.conformance.rights.holders import Place, told
from tests.conformance.rights.story import Act, Story
from tests.unit.handlers.test_permissions import used
from tests.unit.handlers.world import World, world

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow, pytest.mark.timeout(300)]

_ROLES = Permission("kubernetes", "create", "roles.rbac.authorization.k8s.io")


class Held:
    """The rights of one world's agent."""

    def __init__(self, place: Place, at: World, permissions: Collection[Permission]) -> None:
        self._place = place
        self._at = at
        self.permissions = frozenset(permissions)

    async def all(self) -> None:
        """Hold all of them."""
        await self._hold(self.permissions)
        for permission in self.permissions:
            await told(self._at.cluster, permission, held=True)

    @asynccontextmanager
    async def all_but(self, permission: Permission) -> AsyncIterator[None]:
        """Hold all but one, until the block ends."""
        await self._hold(self.permissions - {permission})
        await told(self._at.cluster, permission, held=False)
        yield
        await self._hold(self.permissions)
        await told(self._at.cluster, permission, held=True)

    async def _hold(self, permissions: Collection[Permission]) -> None:
        await self._place.hold(permissions, self.permissions, self._at.defaults.system_namespace)


@pytest.mark.parametrize("events", ["everything", "projects"])
async def test_every_right_is_needed_and_no_other(
    events: str, place: Place, session: AwsSession, cloud: EmbeddedCloud, tmp_path: Path
) -> None:
    alone = events == "projects"
    tell = Story.of_projects if alone else Story.of_everything
    async with world(place.server, session, cloud, tmp_path, way=place.way) as at:
        held = Held(place, at, rights_of(at, projects_alone=alone))
        await held.all()
        uses = [await uses_of(act, at) for act in tell(Story(at))]
    async with world(place.server, session, cloud, tmp_path, way=place.way) as at:
        held = Held(place, at, rights_of(at, projects_alone=alone))
        await held.all()
        unmissed = set(held.permissions if place.checks_grants or alone else held.permissions - granted_alone())
        for act, used_by_act in zip(tell(Story(at)), uses, strict=True):
            rights = [right for right in in_order(used_by_act, held.permissions, place) if right in unmissed]
            await refused_without_each(rights, act, held)
            unmissed.difference_update(rights)
    await place.leave()
    assert unmissed == set(), "superfluous: nothing asks for them"


def rights_of(at: World, *, projects_alone: bool) -> frozenset[Permission]:
    """What is granted to an agent that has all handlers, or those of projects alone."""
    system = at.defaults.system_namespace
    groups = {**default_groups(), "cluster": ClusterConfig(system_namespace=system)}
    handlers = {name: found for name, found in load_handlers().items() if not projects_alone or ".project." in name}
    needed = [*of_handlers(handlers, groups), *(() if projects_alone else (*of_proxy(), *of_states()))]
    found = [need.permission for need in needed if need.permission.service == "kubernetes"]
    return frozenset([*everywhere_of(found), *(right for rights in inside_of(found).values() for right in rights)])


def granted_alone() -> set[Permission]:
    """Rights that are held to be granted, and for nothing else."""
    handed_on = set(granted())
    return {right for right in handed_on if right.resource not in ("configmaps",)}


async def uses_of(act: Act, at: World) -> list[tuple[str, str]]:
    """Do the whole act; which rights it uses, as verb and resource, in the order of their first use."""
    if act.set_up is not None:
        await act.set_up()
    at.relay.calls.clear()
    assert await act.refusal() is None, act.name
    found = [found for seen in at.relay.calls if (found := used(seen)) is not None]
    await act.finish()
    return list(dict.fromkeys(found))


def in_order(uses: Sequence[tuple[str, str]], held: Collection[Permission], place: Place) -> list[Permission]:
    """The rights that an act uses, in the order in which it would miss them: those that it grants before it makes the role."""
    by_name = {(right.action, right.resource): right for right in held}
    found: list[Permission] = []
    for use in uses:
        if use == (_ROLES.action, _ROLES.resource) and place.checks_grants:
            found += granted()
        found.append(by_name[use])
    return list(dict.fromkeys(found))


async def refused_without_each(rights: Sequence[Permission], act: Act, held: Held) -> None:
    """Without any one of them the act is refused, and says for want of which; with all of them it is done in the end."""
    if act.set_up is not None:
        await act.set_up()
    for right in rights:
        if act.put_back is not None:
            await act.put_back()
        async with held.all_but(right):
            refusal = await act.refusal()
        assert refusal is not None, f"{act.name} can be done without {right}, which it uses"
        assert names(refusal, right), f"{act.name} without {right}: {refusal}"
    await act.finish()


def names(refusal: str, right: Permission) -> bool:
    """Whether it says the verb and the resource, as the server does."""
    _, resource = api_resource(right.resource)
    plain = f'cannot {right.action} resource "{resource}"' in refusal
    return plain or f'Resources:["{resource}"], Verbs:["{right.action}"]' in refusal
