"""Identities that plan."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from agentd.core import Action, Fence, Plan, PlannedChange, differences
from agentd.platform.identities import Identities, Identity, IdentitySpec, IdentityState, Trust, refuse_held
from agentd.platform.ownership import check_own


@dataclass(frozen=True, slots=True)
class _Planned:
    """An identity that the plan would have written."""

    identity: Identity
    state: IdentityState


class PlanningIdentities(Identities):
    """Reads as if everything that the plan holds had been written; writes nothing."""

    def __init__(self, identities: Identities, plan: Plan) -> None:
        self._identities = identities
        self._plan = plan
        self._planned: dict[str, _Planned | None] = {}

    async def get(self, name: str) -> Identity | None:
        if name in self._planned:
            planned = self._planned[name]
            return None if planned is None else planned.identity
        return await self._identities.get(name)

    async def identities(self) -> Sequence[Identity]:
        touched = {self.object_name(name) for name in self._planned}
        found = [made for made in await self._identities.identities() if self.object_name(made.name) not in touched]
        return [*found, *(planned.identity for planned in self._planned.values() if planned is not None)]

    def object_name(self, name: str) -> str:
        return self._identities.object_name(name)

    def id_of(self, name: str) -> str:
        return self._identities.id_of(name)

    async def state(self, name: str) -> IdentityState | None:
        if name in self._planned:
            planned = self._planned[name]
            return None if planned is None else planned.state
        return await self._identities.state(name)

    def wanted(self, spec: IdentitySpec, found: IdentityState | None) -> IdentityState | None:
        return self._identities.wanted(spec, found)

    async def holders(self, name: str) -> Sequence[str]:
        return [] if name in self._planned else await self._identities.holders(name)

    async def ensure(self, spec: IdentitySpec, *, fence: Fence) -> Identity | None:
        found = await self.get(spec.name)
        if found is not None:
            check_own(self.object_name(spec.name), found, fence)
        before = await self.state(spec.name)
        after = self.wanted(spec, before)
        if after is None or (found is not None and before == after):
            return found
        made = Identity(
            name=spec.name,
            id=self.id_of(spec.name) if found is None else found.id,
            owner_id=fence.owner_id,
            subject=str(fence.subject),
            generation=fence.generation,
            tags={} if found is None else found.tags,
        )
        self._planned[spec.name] = _Planned(made, after)
        self._plan.record(
            PlannedChange(
                self.object_name(spec.name),
                Action.CREATE if found is None else Action.CHANGE,
                differences(_fields(before), _fields(after)),
            )
        )
        return made

    async def delete(self, name: str, *, fence: Fence) -> None:
        found = await self.get(name)
        if found is None:
            return
        obj = self.object_name(name)
        check_own(obj, found, fence)
        refuse_held(obj, await self.holders(name))
        self._planned[name] = None
        self._plan.record(PlannedChange(obj, Action.DELETE))

    async def trust(self, identity_id: str, service_accounts: Sequence[tuple[str, str]]) -> Trust:
        return await self._identities.trust(identity_id, service_accounts)

    def annotations(self, identity_id: str) -> Mapping[str, str]:
        return self._identities.annotations(identity_id)


def _fields(state: IdentityState | None) -> dict[str, object] | None:
    """As JSON has it."""
    if state is None:
        return None
    trust = state.trust if isinstance(state.trust, str) else list(state.trust)
    return {**asdict(state), "trust": trust, "policies": list(state.policies)}
