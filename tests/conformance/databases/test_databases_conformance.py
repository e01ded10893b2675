"""What every adapter of databases does, on real servers of two major versions, as a role that is no superuser."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import asyncpg
import pytest

from agentd.core import Action, LeaseLost, PermanentError, Reason, TransientError, system_runtime
from agentd.platform.postgresql import PostgresDatabases
from agentd.telemetry import Metrics
from tests.conformance.databases.support import PASSWORD, Bench, configured
from tests.conformance.registry.support import new_subject
from tests.servers.postgresql import MAJORS, PostgresServer, run_postgres

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module", params=MAJORS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A running server; an error, never a skip, when it is not installed."""
    with run_postgres(request.param, tmp_path_factory.mktemp("postgresql")) as running:
        yield running


@pytest.fixture
def at(server: PostgresServer) -> Bench:
    return Bench(server)


async def test_role_owns_a_database_of_its_own(at: Bench) -> None:
    fence = await at.ensured()
    assert fence.changed
    connection = await at.connect()
    try:
        assert await connection.fetchval("SHOW server_encoding") == "UTF8"
        await connection.execute("CREATE TABLE dag (id int)")
    finally:
        await connection.close()
    state = await at.databases.state(at.spec, PASSWORD)
    assert state.role is not None
    assert (state.role.owner_id, state.role.subject, state.role.generation) == (at.owner_id, str(at.subject), 1)
    assert (state.database_owner, state.is_private, state.logs_in) == (at.spec.role, True, True)


async def test_same_generation_again_writes_nothing_and_a_newer_one_its_stamp(at: Bench) -> None:
    await at.ensured()
    assert (await at.ensured()).asked == []
    assert (await at.ensured(2)).asked == [(at.databases.role_object(at.spec.role), True)]
    assert (await at.ensured(2)).asked == []


async def test_older_generation_is_late(at: Bench) -> None:
    await at.ensured(2)
    with pytest.raises(LeaseLost, match="generation 2"):
        await at.ensured(1)


async def test_what_somebody_has_changed_is_mended(at: Bench) -> None:
    await at.ensured()
    await at.server.as_operator(at.role_sql("ALTER ROLE %s PASSWORD 'another'"))
    await at.server.as_operator(at.role_sql("GRANT CONNECT ON DATABASE %s TO PUBLIC"))
    assert (await at.ensured()).changed
    await (await at.connect()).close()
    assert (await at.databases.state(at.spec, PASSWORD)).is_private


async def test_other_roles_do_not_get_in(at: Bench) -> None:
    await at.ensured()
    other = Bench(at.server)
    await other.ensured()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await at.connect(other.spec.role)


async def test_foreign_role_is_left_untouched(at: Bench) -> None:
    await at.server.as_operator(at.role_sql("CREATE ROLE %s LOGIN PASSWORD 'theirs'"))
    for attempt in (at.ensured(), at.databases.delete(at.spec, fence=at.fence())):
        with pytest.raises(PermanentError, match="left untouched") as caught:
            await attempt
        assert caught.value.reason is Reason.FOREIGN_OBJECT


async def test_role_of_another_environment_is_left_untouched(at: Bench) -> None:
    await at.ensured()
    at.subject = new_subject("environment")
    with pytest.raises(PermanentError) as caught:
        await at.ensured()
    assert caught.value.reason is Reason.FOREIGN_OBJECT


async def test_foreign_database_is_left_untouched_and_no_role_is_made(at: Bench) -> None:
    await at.server.as_operator(at.role_sql("CREATE DATABASE %s"))
    for attempt in (at.ensured(), at.databases.delete(at.spec, fence=at.fence())):
        with pytest.raises(PermanentError, match="belongs to role operator") as caught:
            await attempt
        assert caught.value.reason is Reason.FOREIGN_OBJECT
    assert (await at.databases.state(at.spec)).role is None


async def test_what_a_crash_has_left_half_made_is_made_whole(at: Bench) -> None:
    await at.ensured()
    await at.server.as_operator(at.role_sql("DROP DATABASE %s"))
    assert (await at.ensured()).changed
    await (await at.connect()).close()


async def test_password_is_in_no_statement(at: Bench) -> None:
    await at.ensured()
    assert PASSWORD not in at.server.log()
    assert "SCRAM-SHA-256$4096:" in at.server.log(), "the log has statements"


async def test_delete_cuts_off_who_is_connected_and_gone_is_success(at: Bench) -> None:
    await at.ensured()
    connection = await at.connect()
    fence = at.fence()
    await at.databases.delete(at.spec, fence=fence)
    assert fence.destroyed == {
        at.databases.database_object(at.spec.database),
        at.databases.role_object(at.spec.role),
    }
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await connection.fetchval("SELECT 1")
    assert connection.is_closed()
    state = await at.databases.state(at.spec)
    assert (state.role, state.database_owner) == (None, None)
    again = at.fence()
    await at.databases.delete(at.spec, fence=again)
    assert again.asked == []


async def test_role_that_owns_something_elsewhere_is_in_use(at: Bench) -> None:
    await at.ensured()
    await at.server.as_operator(
        at.role_sql("CREATE TABLE IF NOT EXISTS elsewhere(); ALTER TABLE elsewhere OWNER TO %s")
    )
    try:
        with pytest.raises(PermanentError, match="DropRole") as caught:
            await at.databases.delete(at.spec, fence=at.fence())
        assert caught.value.reason is Reason.IN_USE
    finally:
        await at.server.as_operator("DROP TABLE elsewhere")
    await at.databases.delete(at.spec, fence=at.fence())


async def test_two_at_once_make_one(at: Bench) -> None:
    fences = await asyncio.gather(at.ensured(), at.ensured())
    assert sorted(fence.changed for fence in fences) == [False, True]


async def test_nothing_is_written_without_the_lease(at: Bench) -> None:
    fence = replace(at.fence(), lost=True)
    with pytest.raises(LeaseLost):
        await at.databases.ensure(at.spec, PASSWORD, fence=fence)
    assert (await at.databases.state(at.spec)).role is None


async def test_plan_says_what_ensure_does_and_is_empty_after_it(at: Bench) -> None:
    role, database = at.databases.role_object(at.spec.role), at.databases.database_object(at.spec.database)
    assert [(change.obj, change.action) for change in await at.planned()] == [
        (role, Action.CREATE),
        (database, Action.CREATE),
    ]
    await at.ensured()
    assert await at.planned() == []
    assert await at.planned(2) == []
    (change,) = await at.planned(password="another")  # noqa: S106 - the same
    assert (change.obj, change.action) == (role, Action.CHANGE)
    assert "another" not in str(change)


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"admin_password_file": "nowhere"}, Reason.ACCESS_DENIED, "admin_password_file"),
        ({"admin": "nobody"}, Reason.ACCESS_DENIED, "28P01"),
        ({"admin_database": "nowhere"}, Reason.INVALID_REQUEST, "3D000"),
    ],
)
async def test_settings_that_are_wrong_are_told(
    server: PostgresServer, changes: dict[str, object], reason: Reason, words: str
) -> None:
    at = Bench(server)
    databases = PostgresDatabases(configured(server, **changes), metrics=Metrics(), runtime=system_runtime())
    with pytest.raises(PermanentError, match=words) as caught:
        await databases.ensure(at.spec, PASSWORD, fence=at.fence())
    assert caught.value.reason is reason


async def test_server_that_cannot_be_reached_or_trusted_may_be_there_later(server: PostgresServer) -> None:
    at = Bench(server)
    for changes in ({"port": 9}, {"host": "127.0.0.2"}):
        databases = PostgresDatabases(configured(server, **changes), metrics=Metrics(), runtime=system_runtime())
        with pytest.raises(TransientError) as caught:
            await databases.ensure(at.spec, PASSWORD, fence=at.fence())
        assert caught.value.reason is Reason.UNAVAILABLE
