"""`agentd doctor` on real servers: what a good installation looks like, and what is told of one that is not."""

import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import pytest_asyncio
from aiobotocore.session import AioSession
from kubernetes_asyncio import client as kube
from kubernetes_asyncio.config import new_client_from_config

from agentd.cli.doctor.command import CHECKS
from agentd.cli.doctor.findings import Finding, Status
from agentd.cli.doctor.run import examine
from agentd.cli.doctor.site import Site
from agentd.cli.stack import Stack, start_stack
from agentd.core import Runtime, system_runtime
from agentd.embedded import EmbeddedKubernetes, Fault, FaultKind
from agentd.embedded.kube.world import Denial
from agentd.ledger import LedgerConfig
from agentd.ledger.sqlite.connection import open_for_writing
from agentd.settings import load
from tests.e2e.harness import Ran, agentd, running, sqs
from tests.servers.kube_control_plane.certificates import Authority

if TYPE_CHECKING:
    from aiobotocore.session import ClientCreatorContext
    from types_aiobotocore_iam import IAMClient

pytestmark = pytest.mark.asyncio(loop_scope="module")

Json = Any  # what the command prints

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # noqa: S105 - AWS' own example of one
ISSUER = "oidc.example/id/1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """One for all: the doctor changes nothing."""
    async with start_stack(tmp_path_factory.mktemp("doctor")) as running_stack:
        yield running_stack


@pytest.fixture
def embedded(stack: Stack) -> EmbeddedKubernetes:
    """The stack's cluster."""
    assert stack.kubernetes is not None
    return stack.kubernetes


async def doctor(stack: Stack, *arguments: str, code: int = 0, **changes: str) -> Ran:
    """The command as an operator types it."""
    ran = await agentd("doctor", *arguments, environment=stack.environment(**changes))
    assert "Traceback" not in ran.err, ran.err
    assert ran.code == code, ran.out + ran.err
    return ran


async def examined(
    stack: Stack, *areas: str, runtime: Runtime | None = None, deadline_s: float = 15.0, **changes: str
) -> dict[str, Finding]:
    """What it finds in these areas, by name, with the stack's settings but for these changes."""
    chosen = [check for check in CHECKS if check.area.value in areas]
    loaded = load(None, stack.environment(**changes))
    async with Site.open(loaded, runtime or system_runtime(), deadline_s=deadline_s) as site:
        findings = await examine(site, chosen)
    return {finding.check: finding for finding in findings}


def told(found: Mapping[str, Finding], check: str, status: Status, *words: str) -> None:
    """The finding of that name has the status, and these words in it."""
    finding = found[check]
    assert finding.status is status, finding
    for word in words:
        assert word in f"{finding.found} {finding.mend}", finding


def statuses(document: Json) -> dict[str, str]:
    """Status by name, as JSON has it."""
    return {finding["check"]: finding["status"] for finding in document["findings"]}


# -- the command -------------------------------------------------------------------------------------------------------


async def test_good_installation_is_told_whole_as_json_without_a_write(stack: Stack) -> None:
    await stack.reset_calls()
    document = json.loads((await doctor(stack, "-o", "json")).out)
    assert document["counts"]["failed"] == 0
    assert sum(document["counts"].values()) == len(document["findings"])
    found = statuses(document)
    assert len(found) == len(document["findings"]), "each has a name of its own"
    assert {name for check in CHECKS for name in check.names} <= found.keys(), "every check is told, whatever it found"
    for name in ("queues.commands.redrive", "registry.reachable", "ledger.folder", "cluster.healthy", "clock.aws"):
        assert found[name] == "ok"
    for finding in document["findings"]:
        assert set(finding) == {"check", "status", "found", "mend"}
        assert bool(finding["mend"]) == (finding["status"] != "ok")

    assert await stack.writes() == {}
    calls = await stack.cloud.calls()
    assert {operation for service, operation in calls if service == "sqs"} == {"GetQueueAttributes"}
    assert not (stack.folder / "ledger.db").exists()


@pytest.mark.slow
async def test_table_has_every_area_and_how_to_mend_what_is_not_ok(stack: Stack) -> None:
    table = (await doctor(stack)).out
    for area in ("settings", "handlers", "queues", "ledger", "permissions"):
        assert f"\n{area} " in f"\n{table}"
    assert "-> use a FIFO queue" in table
    assert table.rstrip().endswith("0 failed")


async def test_what_failed_is_exit_code_1_and_only_the_areas_asked_for_are_looked_at(
    stack: Stack, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    ran = await doctor(
        stack,
        "--only",
        "ledger",
        "--only",
        "artifacts",
        code=1,
        AGENTD_LEDGER__PATH=str(tmp_path / "file" / "ledger.db"),
    )
    assert "ledger.folder" in ran.out
    assert "artifacts.store" in ran.out
    assert "queues" not in ran.out


async def test_settings_that_cannot_be_read_are_exit_code_2(stack: Stack) -> None:
    ran = await doctor(stack, code=2, AGENTD_BUS__SLOTS="many")
    assert ran.err.startswith("error: bus.slots")
    assert ran.out == ""


@pytest.mark.slow
async def test_a_cloud_that_cannot_be_reached_is_told_of_each_part_and_no_secret_is_told(stack: Stack) -> None:
    nowhere = {"AGENTD_AWS__ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    ran = await doctor(stack, "-o", "json", code=1, AWS_SECRET_ACCESS_KEY=SECRET, **nowhere)
    found = statuses(json.loads(ran.out))
    for name in ("queues.commands", "queues.dead-letters", "queues.reports", "registry"):
        assert found[f"{name}.reachable"] == "failed"
    assert found["aws.caller"] == "failed"
    assert found["queues.commands.redrive"] == "skipped"
    assert found["ledger.folder"] == "ok"
    assert SECRET not in ran.out + ran.err


# -- AWS ---------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_wrong_region(stack: Stack) -> None:
    found = await examined(stack, "queues", "registry", AGENTD_AWS__REGION="us-east-1")
    told(found, "queues.commands.reachable", Status.FAILED, "GetQueueAttributes", "aws.region")
    real = "https://sqs.eu-west-1.amazonaws.com/111122223333/commands"
    found = await examined(stack, "aws", AGENTD_AWS__REGION="us-east-1", AGENTD_COMMANDS__QUEUE_URL=real)
    told(found, "aws.region", Status.FAILED, "commands.queue_url is in eu-west-1")


@pytest.mark.slow
async def test_profile_that_does_not_exist(stack: Stack) -> None:
    found = await examined(stack, "aws", "queues", AGENTD_AWS__PROFILE="nobody")
    for check in ("aws.region", "aws.credentials", "aws.caller", "queues.reports.reachable"):
        told(found, check, Status.FAILED, "nobody")


@pytest.mark.slow
async def test_clock_that_is_off(stack: Stack) -> None:
    now = system_runtime()
    found = await examined(stack, "clock", runtime=Runtime(lambda: now.wall() + 30, now.random))
    for check in ("clock.aws", "clock.cluster"):
        told(found, check, Status.WARNING, "s ahead of", "time service")
    found = await examined(stack, "clock", runtime=Runtime(lambda: now.wall() - 90, now.random))
    told(found, "clock.aws", Status.FAILED, "behind AWS")


@pytest.mark.slow
async def test_time_is_read_from_a_refusal_as_well(stack: Stack) -> None:
    await stack.cloud.inject(
        Fault(
            kind=FaultKind.ERROR, service="sts", status=403, code="SignatureDoesNotMatch", message="Signature expired"
        )
    )
    told(await examined(stack, "clock"), "clock.aws", Status.OK)


@pytest.mark.slow
async def test_a_service_that_does_not_answer_is_given_up_at_the_deadline(stack: Stack) -> None:
    fault = await stack.cloud.inject(Fault(kind=FaultKind.DELAY, service="sts", delay_s=3.0, times=None))
    try:
        found = await examined(stack, "aws", "ledger", deadline_s=1.0)
    finally:
        await stack.cloud.clear(fault)
    told(found, "aws.caller", Status.FAILED, "no answer within 1 s")
    told(found, "aws.region", Status.OK)
    told(found, "ledger.folder", Status.OK)


# -- queues ------------------------------------------------------------------------------------------------------------


async def queue(stack: Stack, name: str, **attributes: str) -> str:
    """A queue with these attributes; its URL."""
    async with sqs(stack) as client:
        return (await client.create_queue(QueueName=name, Attributes=attributes))["QueueUrl"]  # type: ignore[arg-type] # names


async def arn(stack: Stack, url: str) -> str:
    """A queue's ARN."""
    async with sqs(stack) as client:
        answer = await client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return answer["Attributes"]["QueueArn"]


@pytest.mark.slow
async def test_queue_without_a_dead_letter_queue(stack: Stack) -> None:
    url = await queue(stack, "alone")
    found = await examined(stack, "queues", AGENTD_COMMANDS__QUEUE_URL=url)
    told(found, "queues.commands.redrive", Status.FAILED, "maxReceiveCount 100")
    told(found, "queues.dead-letters.reachable", Status.FAILED, "commands.dead_letter_queue_url")
    told(found, "queues.dead-letters.type", Status.SKIPPED)
    told(found, "queues.reports.reachable", Status.OK)


@pytest.mark.slow
async def test_dead_letter_queue_without_a_commands_queue(stack: Stack) -> None:
    found = await examined(
        stack,
        "queues",
        AGENTD_COMMANDS__QUEUE_URL=stack.commands_url.replace("commands", "orders"),
        AGENTD_COMMANDS__DEAD_LETTER_QUEUE_URL=stack.dead_letters_url,
    )
    told(found, "queues.commands.reachable", Status.FAILED, "queue commands", "commands.queue_url")
    told(found, "queues.dead-letters.reachable", Status.OK)
    told(found, "queues.dead-letters.type", Status.SKIPPED, "queues.commands.reachable")


@pytest.mark.slow
async def test_redrive_after_few_receives(stack: Stack) -> None:
    policy = {"deadLetterTargetArn": await arn(stack, stack.dead_letters_url), "maxReceiveCount": "3"}
    url = await queue(stack, "impatient", RedrivePolicy=json.dumps(policy))
    found = await examined(stack, "queues", AGENTD_COMMANDS__QUEUE_URL=url)
    told(found, "queues.commands.redrive", Status.FAILED, "after 3 receives", "counts attempts itself", "at least 20")


@pytest.mark.slow
async def test_dead_letter_queue_of_another_type(stack: Stack) -> None:
    url = await queue(stack, "in-order.fifo", FifoQueue="true")
    found = await examined(
        stack,
        "queues",
        AGENTD_COMMANDS__QUEUE_URL=url,
        AGENTD_COMMANDS__DEAD_LETTER_QUEUE_URL=stack.dead_letters_url,
    )
    told(found, "queues.commands.order", Status.OK, "MessageGroupId")
    told(found, "queues.dead-letters.type", Status.FAILED, "FIFO")


@pytest.mark.slow
async def test_queue_as_it_should_be(stack: Stack) -> None:
    two_weeks = str(14 * 86_400)
    letters = await queue(stack, "good-letters", SqsManagedSseEnabled="true", MessageRetentionPeriod=two_weeks)
    policy = {"deadLetterTargetArn": await arn(stack, letters), "maxReceiveCount": "100"}
    url = await queue(stack, "good", SqsManagedSseEnabled="true", RedrivePolicy=json.dumps(policy))
    found = await examined(stack, "queues", AGENTD_COMMANDS__QUEUE_URL=url)
    bad = {check for check, finding in found.items() if finding.status is not Status.OK}
    assert bad == {"queues.commands.order", "queues.reports.encryption"}


# -- ledger ------------------------------------------------------------------------------------------------------------


def content_of(path: Path) -> bytes:
    """What the file holds."""
    return path.read_bytes()


def fill(path: Path, content: bytes) -> None:
    """Make the file what the test needs."""
    path.write_bytes(content)


def names_in(folder: Path) -> list[str]:
    """What there is in the folder."""
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.slow
async def test_ledger_beside_a_running_daemon(stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with running(stack, AGENTD_LEDGER__PATH=str(path)):
        found = await examined(stack, "ledger", AGENTD_LEDGER__PATH=str(path))
        assert {finding.status for finding in found.values()} <= {Status.OK, Status.WARNING}
        told(found, "ledger.events", Status.OK)
        told(found, "ledger.outbox", Status.OK)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger in which nothing has been done yet."""
    path = tmp_path / "ledger.db"
    open_for_writing(LedgerConfig(path=path)).close()
    return path


@pytest.mark.slow
async def test_ledger_that_a_newer_agent_has_written(stack: Stack, ledger: Path) -> None:
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = content_of(ledger)
    found = await examined(stack, "ledger", AGENTD_LEDGER__PATH=str(ledger))
    told(found, "ledger.schema", Status.FAILED, "version 99", "newer one")
    told(found, "ledger.events", Status.SKIPPED)
    assert content_of(ledger) == before
    assert names_in(ledger.parent) == ["ledger.db"]


@pytest.mark.slow
async def test_ledger_that_is_damaged(stack: Stack, ledger: Path) -> None:
    content = content_of(ledger)
    fill(ledger, content[:100] + b"\xff" * 2900 + content[3000:])  # the root page of the schema
    found = await examined(stack, "ledger", AGENTD_LEDGER__PATH=str(ledger))
    told(found, "ledger.folder", Status.OK)
    assert found["ledger.schema"].status is Status.FAILED
    assert "malformed" in found["ledger.schema"].found


@pytest.mark.slow
async def test_ledger_in_a_cloud(stack: Stack) -> None:
    cloud: dict[str, Any] = {"AGENTD_LEDGER__KIND": "dynamodb", "AGENTD_LEDGER__DYNAMODB__TABLE": f"ledger-{uuid4()}"}
    found = await examined(stack, "ledger", **cloud)
    told(found, "ledger.folder", Status.OK, "takes no place here")
    told(found, "ledger.schema", Status.FAILED, "ResourceNotFoundException", "ledger.dynamodb.create_table")
    async with running(stack, AGENTD_LEDGER__DYNAMODB__CREATE_TABLE="true", **cloud):
        found = await examined(stack, "ledger", **cloud)
    assert {finding.status for finding in found.values()} == {Status.OK}, found


@pytest.mark.slow
async def test_ledger_in_a_place_where_it_cannot_be(stack: Stack, tmp_path: Path) -> None:
    # Not by permissions, which root does not heed: nobody can make a folder inside a file.
    (tmp_path / "file").write_text("")
    found = await examined(stack, "ledger", AGENTD_LEDGER__PATH=str(tmp_path / "file" / "ledger.db"))
    told(found, "ledger.folder", Status.FAILED, "ledger.path", "is a file")
    found = await examined(stack, "ledger", AGENTD_LEDGER__PATH=str(tmp_path))
    told(found, "ledger.folder", Status.FAILED, "not a file")


# -- artifacts ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_artifact_store(stack: Stack, tmp_path: Path) -> None:
    told(await examined(stack, "artifacts"), "artifacts.store", Status.SKIPPED, "artifacts.bucket")
    told(await examined(stack, "artifacts", AGENTD_ARTIFACTS__DIRECTORY=str(tmp_path)), "artifacts.store", Status.OK)
    found = await examined(stack, "artifacts", AGENTD_ARTIFACTS__DIRECTORY=str(tmp_path / "nowhere"))
    told(found, "artifacts.store", Status.FAILED, "make the folder")
    found = await examined(stack, "artifacts", AGENTD_ARTIFACTS__BUCKET="nowhere")
    told(found, "artifacts.store", Status.FAILED, "no bucket nowhere")
    async with AioSession().create_client(
        "s3", region_name=stack.aws.region, endpoint_url=stack.aws.endpoint_url
    ) as s3:
        await s3.create_bucket(Bucket="artifacts", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    told(await examined(stack, "artifacts", AGENTD_ARTIFACTS__BUCKET="artifacts"), "artifacts.store", Status.OK)


# -- audit -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_audit_log(stack: Stack, tmp_path: Path) -> None:
    found = await examined(stack, "audit")
    told(found, "audit.folder", Status.OK, "can be written to")
    told(found, "audit.key", Status.SKIPPED, "agentd keys new")
    told(found, "audit.copies", Status.SKIPPED, "audit.bucket")
    found = await examined(stack, "audit", AGENTD_AUDIT__ENABLED="false")
    told(found, "audit.folder", Status.WARNING, "audit.enabled")


@pytest.mark.slow
async def test_audit_log_that_cannot_be_kept(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no key")
    found = await examined(
        stack,
        "audit",
        AGENTD_AUDIT__DIRECTORY=str(tmp_path / "file" / "audit"),
        AGENTD_AUDIT__SIGNING_KEY_FILE=str(tmp_path / "file"),
        AGENTD_AUDIT__COPY_DIRECTORY=str(tmp_path / "nowhere"),
    )
    told(found, "audit.folder", Status.FAILED, "audit.directory")
    told(found, "audit.key", Status.FAILED, "audit.signing_key_file")
    told(found, "audit.copies", Status.FAILED, "make the folder", "audit.copy_directory")
    found = await examined(stack, "audit", AGENTD_AUDIT__BUCKET="nowhere")
    told(found, "audit.copies", Status.FAILED, "no bucket nowhere")


# -- rights in AWS -----------------------------------------------------------------------------------------------------


def iam(stack: Stack) -> "ClientCreatorContext[IAMClient]":
    """The account's owner."""
    return AioSession().create_client("iam", region_name=stack.aws.region, endpoint_url=stack.aws.endpoint_url)


@asynccontextmanager
async def as_user(stack: Stack, name: str, *statements: Json) -> AsyncIterator[None]:
    """This process is an IAM user with these statements, until the block ends."""
    async with iam(stack) as client:
        await client.create_user(UserName=name)
        policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        await client.put_user_policy(UserName=name, PolicyName="rights", PolicyDocument=policy)
        key = (await client.create_access_key(UserName=name))["AccessKey"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        patch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        yield


EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}


@pytest.mark.slow
async def test_every_right_that_is_needed_is_simulated(stack: Stack) -> None:
    async with as_user(stack, "almighty", EVERYTHING):
        await stack.cloud.reset_calls()
        found = await examined(stack, "permissions", "aws")
        calls = await stack.cloud.calls()
    told(found, "aws.caller", Status.OK, "user/almighty")
    told(found, "permissions.aws", Status.OK, "actions allowed")
    for action in ("ecr:CreateRepository", "ecr:GetAuthorizationToken", "sqs:ReceiveMessage", "sqs:SendMessage"):
        told(found, f"permissions.aws.{action}", Status.OK, "allowed on")
    assert not any("iam:" in check or "kms:" in check for check in found), "neither is part of this installation"
    assert not stack.cloud.writes(calls), "nothing is tried"


@pytest.mark.slow
async def test_right_that_is_not_granted(stack: Stack) -> None:
    narrow = {"Effect": "Allow", "Action": ["sqs:*", "iam:*"], "Resource": "*"}
    reads = {"Effect": "Allow", "Action": ["ecr:Get*", "ecr:Describe*"], "Resource": "*"}
    deny = {"Effect": "Deny", "Action": "ecr:DeleteRepository", "Resource": "*"}
    async with as_user(stack, "reader", narrow, reads, deny):
        found = await examined(stack, "permissions")
    told(found, "permissions.aws", Status.FAILED, "agentd schema permissions")
    create = "repository/conveyor/data-plane/project/agentd-doctor"
    told(found, "permissions.aws.ecr:CreateRepository", Status.FAILED, create, "conveyor.project.create.v1")
    told(found, "permissions.aws.ecr:DeleteRepository", Status.FAILED, "take the deny away")
    told(found, "permissions.aws.ecr:DescribeImages", Status.OK)
    told(found, "permissions.aws.sqs:DeleteMessage", Status.OK, "conveyor-")


@pytest.mark.slow
async def test_right_that_a_queues_own_policy_may_grant(stack: Stack) -> None:
    url = await queue(stack, "shared")
    grant = {"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": await arn(stack, url)}
    async with sqs(stack) as client:
        policy = json.dumps({"Version": "2012-10-17", "Statement": [grant]})
        await client.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    others = {"Effect": "Allow", "NotAction": "sqs:*", "Resource": "*"}
    own = {"Effect": "Allow", "Action": "sqs:*", "Resource": "arn:aws:sqs:*:*:conveyor-*"}
    async with as_user(stack, "guest", others, own):
        found = await examined(stack, "permissions", AGENTD_REPORTS_QUEUE_URL=url)
    told(found, "permissions.aws", Status.OK)
    told(found, "permissions.aws.sqs:ReceiveMessage", Status.OK)
    told(found, "permissions.aws.sqs:SendMessage", Status.WARNING, ":shared", "own policy may")


@pytest.mark.slow
async def test_without_the_right_to_simulate_it_is_skipped_and_says_why(stack: Stack) -> None:
    refusal = Fault(
        kind=FaultKind.ERROR, service="iam", operation="SimulatePrincipalPolicy", status=403, code="AccessDenied"
    )
    async with as_user(stack, "modest", EVERYTHING):
        await stack.cloud.inject(refusal)
        found = await examined(stack, "permissions")
    told(found, "permissions.aws", Status.SKIPPED, "AccessDenied", "iam:SimulatePrincipalPolicy", "schema permissions")


@pytest.mark.slow
async def test_a_key_that_goes_by_an_alias_is_not_asked_about(stack: Stack) -> None:
    async with as_user(stack, "keeper", EVERYTHING):
        refusal = Fault(kind=FaultKind.ERROR, service="iam", contains="alias", code="InvalidInput", message="no ARN")
        await stack.cloud.inject(refusal)
        found = await examined(stack, "permissions", AGENTD_REGISTRY__KMS_KEY="alias/images")
    told(found, "permissions.aws", Status.OK)
    told(found, "permissions.aws.kms:CreateGrant", Status.SKIPPED, "no answer for alias/images")
    told(found, "permissions.aws.ecr:CreateRepository", Status.OK)


@pytest.mark.slow
async def test_session_of_a_role_is_simulated_as_the_role_with_its_path(stack: Stack) -> None:
    trust = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]}
    )
    async with iam(stack) as client:
        role = (await client.create_role(RoleName="agentd", Path="/agents/", AssumeRolePolicyDocument=trust))["Role"]
    async with AioSession().create_client(
        "sts", region_name=stack.aws.region, endpoint_url=stack.aws.endpoint_url
    ) as sts:
        session = (await sts.assume_role(RoleArn=role["Arn"], RoleSessionName="replica-1"))["Credentials"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", session["AccessKeyId"])
        patch.setenv("AWS_SECRET_ACCESS_KEY", session["SecretAccessKey"])
        patch.setenv("AWS_SESSION_TOKEN", session["SessionToken"])
        found = await examined(stack, "aws", "permissions")
    told(found, "aws.caller", Status.OK, "assumed-role/agentd/replica-1")
    told(found, "aws.credentials", Status.WARNING, "nothing renews")
    # The emulator finds no policies of a role that has a path, so nothing is allowed; whom it was asked about is right.
    assert role["Arn"] in found["permissions.aws"].found


# -- identities --------------------------------------------------------------------------------------------------------

PROVIDER = f"arn:aws:iam::111122223333:oidc-provider/{ISSUER}"
BOUNDARY = "arn:aws:iam::111122223333:policy/bounds"


@pytest.mark.slow
async def test_identities(stack: Stack) -> None:
    async def look() -> dict[str, Finding]:
        return await examined(
            stack,
            "identities",
            AGENTD_IDENTITIES__PROVIDER="aws",
            AGENTD_IDENTITIES__OIDC_ISSUER_URL=f"https://{ISSUER}",
            AGENTD_IDENTITIES__OIDC_PROVIDER_ARN=PROVIDER,
            AGENTD_IDENTITIES__PERMISSIONS_BOUNDARY=BOUNDARY,
            AGENTD_IDENTITIES__POLICIES='["arn:aws:iam::111122223333:policy/logs"]',
        )

    found = await look()
    told(found, "identities.provider", Status.FAILED, "no OIDC provider", f"https://{ISSUER}")
    told(found, "identities.boundary", Status.FAILED, BOUNDARY)
    told(found, "identities.policies", Status.FAILED, "policy/logs")

    document = json.dumps({"Version": "2012-10-17", "Statement": [EVERYTHING]})
    async with iam(stack) as client:
        for name in ("bounds", "logs"):
            await client.create_policy(PolicyName=name, PolicyDocument=document)
        await client.create_open_id_connect_provider(
            Url=f"https://{ISSUER}", ClientIDList=["sts.amazonaws.com"], ThumbprintList=["0" * 40]
        )
    found = await look()
    for check in ("provider", "boundary", "policies"):
        told(found, f"identities.{check}", Status.OK)


# -- proxy -------------------------------------------------------------------------------------------------------------


def tls(files: Authority, *, certificate: str = "proxy") -> dict[str, str]:
    """Settings of a proxy that speaks TLS with the authority's certificates."""
    pair = files.server(certificate)
    return {
        "AGENTD_PROXY__CERTIFICATE_FILE": str(pair.public),
        "AGENTD_PROXY__KEY_FILE": str(pair.private),
        "AGENTD_PROXY__CLIENT_CA_FILE": str(files.public),
    }


async def proxy_later(stack: Stack, settings: Mapping[str, str], days: int = 0) -> dict[str, Finding]:
    """What is told of the proxy some days from now."""
    now = system_runtime()
    runtime = Runtime(lambda: now.wall() + days * 86_400, now.random)
    return await examined(stack, "proxy", runtime=runtime, deadline_s=15.0, **settings)


@pytest.mark.slow
async def test_certificates_of_the_proxy(stack: Stack, tmp_path: Path) -> None:
    settings = tls(Authority.new(tmp_path / "authority"))
    found = await proxy_later(stack, settings)
    told(found, "proxy.listen", Status.OK, "mutual TLS")
    told(found, "proxy.certificate", Status.WARNING, "good for 7 days", "renew")
    found = await proxy_later(stack, settings, days=8)
    told(found, "proxy.certificate", Status.FAILED, "expired 1.0 days ago")
    told(found, "proxy.client-ca", Status.FAILED, "expired")


@pytest.mark.slow
async def test_files_of_the_proxy_that_cannot_be_used(stack: Stack, tmp_path: Path) -> None:
    authority = Authority.new(tmp_path / "authority")
    settings = tls(authority)
    another = {**settings, "AGENTD_PROXY__KEY_FILE": str(authority.client("another").private)}
    told(await proxy_later(stack, another), "proxy.listen", Status.FAILED, "belong together", "proxy.key_file")
    nowhere = {**settings, "AGENTD_PROXY__CERTIFICATE_FILE": str(tmp_path / "nowhere.pem")}
    found = await proxy_later(stack, nowhere)
    told(found, "proxy.listen", Status.FAILED, "proxy.certificate_file")
    told(found, "proxy.certificate", Status.FAILED, "nowhere.pem: No such file")


# -- cluster -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_cluster_that_does_not_answer(stack: Stack, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    fill(kubeconfig, content_of(stack.kubeconfig).replace(stack.cluster_url.encode(), b"http://127.0.0.1:9"))
    found = await examined(stack, "cluster", "clock", "permissions", AGENTD_CLUSTER__KUBECONFIG=str(kubeconfig))
    for check in (
        "cluster.healthy",
        "cluster.nodes",
        "cluster.pod-security",
        "clock.cluster",
        "permissions.kubernetes",
    ):
        told(found, check, Status.FAILED)
    told(found, "cluster.version", Status.SKIPPED, "cluster.healthy")
    found = await examined(stack, "cluster", AGENTD_CLUSTER__KUBECONFIG=str(tmp_path / "nowhere"))
    told(found, "cluster.healthy", Status.FAILED, "nowhere is not there", "cluster.access")


@pytest.mark.slow
async def test_installation_without_a_cluster(stack: Stack) -> None:
    found = await examined(stack, "cluster", "clock", "permissions", AGENTD_CLUSTER__ACCESS="none")
    for check in ("cluster.healthy", "cluster.version", "cluster.nodes", "clock.cluster", "permissions.kubernetes"):
        told(found, check, Status.SKIPPED, "registries alone")


@pytest.mark.slow
async def test_right_in_the_cluster_that_is_not_granted(stack: Stack, embedded: EmbeddedKubernetes) -> None:
    await embedded.deny(
        Denial(verb="create", group="", resource="namespaces"),
        Denial(verb="patch", group="apps", resource="deployments"),
        Denial(verb="list", group="", resource="nodes"),
    )
    try:
        found = await examined(stack, "permissions", "cluster")
    finally:
        await embedded.deny()
    told(found, "permissions.kubernetes", Status.FAILED, "ClusterRole", "agentd schema permissions")
    told(
        found,
        "permissions.kubernetes.create namespaces",
        Status.FAILED,
        'apiGroups [""]',
        "conveyor.environment.create.v1",
    )
    told(
        found,
        "permissions.kubernetes.patch deployments.apps",
        Status.FAILED,
        'apiGroups ["apps"], resources ["deployments"], verbs ["patch"]',
    )
    told(found, "permissions.kubernetes.get namespaces", Status.OK)
    # The agent itself does without it.
    told(found, "cluster.nodes", Status.SKIPPED, "Forbidden", "allow the agent to list nodes")
    told(found, "cluster.healthy", Status.OK)


@pytest.mark.slow
async def test_system_namespace_that_is_not_there(stack: Stack) -> None:
    told(await examined(stack, "cluster"), "cluster.system-namespace", Status.OK)
    found = await examined(stack, "cluster", AGENTD_CLUSTER__SYSTEM_NAMESPACE="elsewhere")
    told(found, "cluster.system-namespace", Status.FAILED, "kubectl create namespace elsewhere")


@pytest.mark.slow
async def test_pod_security_is_tried_by_a_dry_run(stack: Stack, embedded: EmbeddedKubernetes) -> None:
    told(await examined(stack, "cluster"), "cluster.pod-security", Status.SKIPPED, "first environment")
    await guard(stack.kubeconfig, "guarded")
    await stack.reset_calls()
    told(await examined(stack, "cluster"), "cluster.pod-security", Status.OK, "guarded", "dry run")
    assert await stack.writes() == {}
    taken = json.dumps(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "agentd-doctor", "namespace": "guarded"}}
    )
    await embedded.inject(Fault(kind=FaultKind.ANSWER, service="pods", operation="create", body=taken))
    told(await examined(stack, "cluster"), "cluster.pod-security", Status.FAILED, "would be taken", "PodSecurity")
    await embedded.deny(Denial(verb="create", group="", resource="pods"))
    try:
        told(await examined(stack, "cluster"), "cluster.pod-security", Status.SKIPPED, "allow the agent to create pods")
    finally:
        await embedded.deny()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_real_api_server(stack: Stack, real_kubeconfig: Path, tmp_path: Path) -> None:
    namespace = f"doctor-{uuid4().hex[:8]}"  # the cluster may be shared, and outlive this run
    await guard(real_kubeconfig, namespace)
    kubeconfig = str(real_kubeconfig)
    found = await examined(stack, "cluster", "clock", "permissions", AGENTD_CLUSTER__KUBECONFIG=kubeconfig)
    for check in (
        "permissions.kubernetes",
        "cluster.healthy",
        "cluster.version",
        "cluster.pod-security",
        "clock.cluster",
    ):
        told(found, check, Status.OK)
    few = str(await service_account(real_kubeconfig, namespace, "few", tmp_path / "few"))
    found = await examined(stack, "cluster", "clock", "permissions", AGENTD_CLUSTER__KUBECONFIG=few)
    told(found, "permissions.kubernetes.create namespaces", Status.FAILED, "in the whole cluster")
    for check in ("cluster.nodes", "cluster.pod-security"):
        told(found, check, Status.SKIPPED, f"system:serviceaccount:{namespace}:few")
    for check in ("cluster.healthy", "clock.cluster"):
        told(found, check, Status.OK)


async def guard(kubeconfig: Path, name: str) -> None:
    """A namespace that takes nothing but restricted pods."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    async with await new_client_from_config(str(kubeconfig)) as api:
        namespace = kube.V1Namespace(metadata=kube.V1ObjectMeta(name=name, labels=labels))
        await kube.CoreV1Api(api).create_namespace(namespace)


async def service_account(kubeconfig: Path, namespace: str, name: str, path: Path) -> Path:
    """A kubeconfig of a service account without any rights of its own."""
    async with await new_client_from_config(str(kubeconfig)) as api:
        core = kube.CoreV1Api(api)
        await core.create_namespaced_service_account(
            namespace, kube.V1ServiceAccount(metadata=kube.V1ObjectMeta(name=name))
        )
        request = kube.AuthenticationV1TokenRequest(spec=kube.V1TokenRequestSpec(audiences=[]))
        token = (await core.create_namespaced_service_account_token(name, namespace, request)).status.token
    document = json.loads(content_of(kubeconfig))
    document["users"][0]["user"] = {"token": token}
    fill(path, json.dumps(document).encode())
    return path
