"""Who Airflow and the projects' jobs are in the cloud: with IAM roles, and where the agent makes no identities."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from agentd.core import NotReady, PermanentError, Reason
from agentd.events.environments import AirflowConfiguration, SecretName, SecretsBackend
from agentd.platform import Identities
from agentd.platform.aws.session import AwsSession
from agentd.platform.local.identities import NoIdentities
from handlers.manifests.kinds import SERVICE_ACCOUNT
from tests.conformance.identities.support import ISSUER
from tests.conformance.identities.support import Bench as IamBench
from tests.conformance.identities.support import bench as iam_bench
from tests.unit.handlers.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROLE = "eks.amazonaws.com/role-arn"
ACCOUNTS = ("airflow", "airflow-api-server", "airflow-scheduler")


@dataclass
class Account:
    """An installation with IAM roles."""

    at: World
    iam: IamBench

    @property
    def role(self) -> str:
        return self.iam.role(f"environment-{self.at.name}")


@pytest_asyncio.fixture(loop_scope="module")
async def account(at: World, session: AwsSession) -> AsyncIterator[Account]:
    async with iam_bench(session, owner_id=at.registry.owner_id) as iam:
        at.control.ports[Identities] = iam.identities
        yield Account(at, iam)


async def roles(at: World, *names: str) -> dict[str, str | None]:
    """What each service account carries."""
    accounts = [await at.seen(SERVICE_ACCOUNT, name) for name in names]
    return {found["metadata"]["name"]: (found["metadata"].get("annotations") or {}).get(ROLE) for found in accounts}


async def test_an_environment_has_a_role_that_its_service_accounts_may_become(account: Account) -> None:
    at = account.at
    first = await at.run(at.create())
    role = await account.iam.hands.role(account.role)
    assert await roles(at, *ACCOUNTS) == dict.fromkeys(ACCOUNTS, role["Arn"])
    assert await roles(at, "airflow-worker") == {"airflow-worker": None}
    subjects = [f"system:serviceaccount:{at.name}:{name}" for name in ACCOUNTS]
    trust = str(await account.iam.hands.trust(account.role))
    assert all(subject in trust for subject in subjects)
    assert "airflow-worker" not in trust
    assert ISSUER in trust
    await at.writes()
    again = await at.run(at.create(), event_id=first.event_id)
    assert again.asked == []
    assert await at.writes() == Counter()


async def test_a_role_that_is_given_takes_the_place_of_the_agents_own(account: Account) -> None:
    at = account.at
    await at.run(at.create())
    await at.run(at.update(iam_identity="airflow-dev"), 2)
    assert set((await roles(at, *ACCOUNTS)).values()) == {"arn:aws:iam::111122223333:role/airflow-dev"}
    assert await account.iam.identities.get(f"environment-{at.name}") is None
    await at.run(at.update(), 3)
    role = await account.iam.hands.role(account.role)
    assert set((await roles(at, *ACCOUNTS)).values()) == {role["Arn"]}


async def test_a_given_role_is_never_touched(account: Account) -> None:
    at = account.at
    role = f"theirs-{at.name}"
    await account.iam.hands.create(role, {})
    await at.writes()
    secret = SecretsBackend(enabled=True, connection=SecretName(name="airflow/connections"))
    given = at.create(iam_identity=role, airflow_configuration=AirflowConfiguration(secret=secret))
    with pytest.raises(PermanentError, match="it lacks: ") as refused:
        await at.run(given)
    assert refused.value.reason is Reason.IDENTITY_NOT_TRUSTED
    assert not await at.writes(), "before anything is written"
    assert await at.namespace() is None
    statement = json.loads(refused.value.message.partition("it lacks: ")[2])
    await account.iam.hands.set_trust(role, {"Version": "2012-10-17", "Statement": [statement]})
    await at.writes()
    fence = await at.run(given)
    assert not any(obj.startswith("iam:") for obj, _ in fence.asked)


async def test_the_role_goes_with_the_environment(account: Account) -> None:
    at = account.at
    await at.run(at.create())
    data = at.delete()
    context = at.begin(data, 2)
    for _ in range(10):
        try:
            await at.resume(data, context)
        except NotReady:
            continue
        break
    assert await at.namespace() is None
    assert await account.iam.identities.get(f"environment-{at.name}") is None


async def test_a_role_that_was_shown_late_goes_in_the_next_attempt(account: Account) -> None:
    at = account.at
    await at.run(at.create())
    data = at.delete()
    context = at.begin(data, 2)
    context.journal["delete identity"] = None  # an earlier attempt has looked, and IAM did not show the role yet
    for _ in range(10):
        try:
            await at.resume(data, context)
        except NotReady:
            continue
        break
    assert await account.iam.identities.get(f"environment-{at.name}") is None


async def test_projects_jobs_are_what_the_template_says(account: Account) -> None:
    at = account.at
    await at.run(at.create())
    shop = await at.project("shop", identity="shop-{{ .Env }}")
    plain = await at.project("plain")
    await at.run(at.deploy(shop.deployment(), plain.deployment()), 2)
    assert await roles(at, "shop", "plain") == {
        "shop": f"arn:aws:iam::111122223333:role/shop-{at.name}",
        "plain": None,
    }


async def test_between_two_attempts_another_identity_may_be_asked_for(account: Account) -> None:
    at = account.at
    await at.run(at.create())
    data = at.update(iam_identity="first")
    first = at.begin(data, 2)
    await at.resume(data, first)
    await at.run(at.update(iam_identity="second"), 3)
    late = at.deploy(iam_identity="first")
    context = at.begin(late, 2)
    context.journal["ensure identity"] = None  # an earlier attempt came so far
    await at.resume(late, context)
    assert set((await roles(at, *ACCOUNTS)).values()) == {"arn:aws:iam::111122223333:role/second"}


async def test_where_there_are_no_identities_accounts_carry_none(at: World) -> None:
    at.control.ports[Identities] = NoIdentities()
    await at.run(at.create(iam_identity="airflow-dev"))
    shop = await at.project("shop", identity="shop-{{ .Env }}")
    await at.run(at.deploy(shop.deployment()), 2)
    assert set((await roles(at, *ACCOUNTS, "shop")).values()) == {None}
    record = await at.record(shop)
    assert record is not None
    assert record["data"]["identity"] == f"shop-{at.name}"
