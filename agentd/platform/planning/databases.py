"""Databases that plan."""

from agentd.core import Action, Fence, Plan, PlannedChange, differences
from agentd.platform.databases import Databases, DatabaseSpec, DatabaseState, RoleState, check_ours


class PlanningDatabases(Databases):
    """Reads as if everything that the plan holds had been written; writes nothing. Of a password it is told that it changes."""

    def __init__(self, databases: Databases, plan: Plan) -> None:
        self._databases = databases
        self._plan = plan
        self._planned: dict[DatabaseSpec, DatabaseState] = {}

    def role_object(self, role: str) -> str:
        return self._databases.role_object(role)

    def database_object(self, database: str) -> str:
        return self._databases.database_object(database)

    async def state(self, spec: DatabaseSpec, password: str | None = None) -> DatabaseState:
        planned = self._planned.get(spec)
        return await self._databases.state(spec, password) if planned is None else planned

    async def ensure(self, spec: DatabaseSpec, password: str, *, fence: Fence) -> None:
        found = await self.state(spec, password)
        check_ours(self, spec, found, fence)
        role, database = self.role_object(spec.role), self.database_object(spec.database)
        if found.role is None:
            self._plan.record(PlannedChange(role, Action.CREATE))
        elif not found.logs_in:
            self._plan.record(PlannedChange(role, Action.CHANGE, differences({}, {"password": "(sensitive)"})))
        if found.database_owner is None:
            self._plan.record(PlannedChange(database, Action.CREATE, differences(None, {"owner": spec.role})))
        elif not found.is_private:
            self._plan.record(PlannedChange(database, Action.CHANGE, differences({"public": True}, {"public": False})))
        made = RoleState(spec.role, fence.owner_id, str(fence.subject), fence.generation)
        self._planned[spec] = DatabaseState(made, spec.role, is_private=True, logs_in=True)

    async def delete(self, spec: DatabaseSpec, *, fence: Fence) -> None:
        found = await self.state(spec)
        check_ours(self, spec, found, fence)
        if found.database_owner is not None:
            self._plan.record(PlannedChange(self.database_object(spec.database), Action.DELETE))
        if found.role is not None:
            self._plan.record(PlannedChange(self.role_object(spec.role), Action.DELETE))
        self._planned[spec] = DatabaseState(None, None)
