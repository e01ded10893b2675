"""What is told of a fact. Facts as real servers give them are in the end-to-end suite."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from agentd.bus import QueueFacts, QueueKind
from agentd.cli.doctor import aws, aws_permissions, clock, cluster, identities, ledger, queues
from agentd.cli.doctor.aws_permissions import Asked, concrete, together
from agentd.cli.doctor.findings import Finding, Status
from agentd.cli.doctor.words import days, duration, size
from agentd.cli.permissions import AGENT, Need, arn_of, of_handlers
from agentd.core import Handler, Permission, handler
from agentd.events import ProjectCreate
from agentd.ledger import LedgerStats
from agentd.ledger.sqlite.inspection import KNOWN_VERSION, Condition, Place
from agentd.platform import Node
from agentd.platform.aws.account import Caller, CredentialsFound, Decision, OidcProviderFound, ahead_s
from agentd.platform.config import OidcProvider, RegistryConfig
from agentd.settings import Settings, load
from tests.unit.cli.doctor.rig import ENVIRONMENT

ROLE = "arn:aws:iam::111122223333:role/agents/agentd"
SESSION = Caller("arn:aws:sts::111122223333:assumed-role/agentd/i-0abc", "111122223333")
DAY_S = 86_400.0
GIB = 1024**3


def settings(**variables: str) -> Settings:
    """Good settings, but for these variables."""
    return load(None, {**ENVIRONMENT, **{f"AGENTD_{name}": value for name, value in variables.items()}}).settings


def told(finding: Finding, status: Status, *words: str) -> None:
    """The finding has the status, and these words in it."""
    assert finding.status is status, finding
    for word in words:
        assert word in f"{finding.found} {finding.mend}"


# -- clock -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "status", "words"),
    [
        (0.4, Status.OK, "within 1 s"),
        (-5.0, Status.OK, "within 5 s"),
        (5.1, Status.WARNING, "5.1 s ahead of AWS"),
        (-60.0, Status.WARNING, "60.0 s behind AWS"),
        (-60.1, Status.FAILED, "300 s"),
        (None, Status.SKIPPED, "Date"),
    ],
)
def test_clock(ahead: float | None, status: Status, words: str) -> None:
    told(clock.skew("clock.aws", "AWS", ahead), status, words)


def test_a_date_header_is_taken_at_half_past_its_second() -> None:
    assert ahead_s("Thu, 01 Jan 1970 00:01:40 GMT", before=100.0, after=101.0) == 0.0
    assert ahead_s("Thu, 01 Jan 1970 00:01:40 GMT", before=400.0, after=402.0) == 300.5


# -- AWS ---------------------------------------------------------------------------------------------------------------


def test_region_is_that_of_the_queues() -> None:
    told(aws.region("eu-west-1", settings()), Status.OK)
    told(aws.region("us-east-1", settings()), Status.FAILED, "commands.queue_url is in eu-west-1", "aws.region")


@pytest.mark.parametrize(
    ("found", "status", "words"),
    [
        (None, Status.FAILED, "finds none"),
        (CredentialsFound("env", temporary=False, renewed=False, ends_at=None), Status.WARNING, "long-lived"),
        (CredentialsFound("env", temporary=True, renewed=False, ends_at=None), Status.WARNING, "nothing renews"),
        (CredentialsFound("container-role", temporary=True, renewed=True, ends_at=2000.0), Status.OK, "container-role"),
        (CredentialsFound("container-role", temporary=True, renewed=True, ends_at=None), Status.OK, "renews"),
        (CredentialsFound("container-role", temporary=True, renewed=True, ends_at=999.0), Status.FAILED, "ended"),
    ],
)
def test_credentials(found: CredentialsFound | None, status: Status, words: str) -> None:
    told(aws.credentials(found, now=1000.0), status, words)


def test_the_root_user_is_warned_of() -> None:
    told(aws.caller(SESSION), Status.OK, "assumed-role/agentd")
    told(aws.caller(Caller("arn:aws:iam::111122223333:root", "111122223333")), Status.WARNING, "root")


def test_whose_session_it_is() -> None:
    assert (SESSION.role, SESSION.user) == ("agentd", None)
    user = Caller("arn:aws-cn:iam::111122223333:user/path/agentd", "111122223333")
    assert (user.role, user.user, user.partition) == (None, user.arn, "aws-cn")
    federated = Caller("arn:aws:sts::111122223333:federated-user/agentd", "111122223333")
    assert (federated.role, federated.user) == (None, None)


# -- rights in AWS -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "asked"),
    [
        ("*", "*"),
        ("arn:aws:ecr:*:*:repository/team/*", "arn:aws:ecr:eu-west-1:111122223333:repository/team/agentd-doctor"),
        ("arn:aws:iam::*:role/conveyor/conveyor-*", "arn:aws:iam::111122223333:role/conveyor/conveyor-agentd-doctor"),
        ("arn:aws:s3:::bucket/prefix/*", "arn:aws:s3:::bucket/prefix/agentd-doctor"),
        ("arn:aws:sqs:us-east-1:444455556666:queue", "arn:aws:sqs:us-east-1:444455556666:queue"),
    ],
)
def test_a_declared_resource_as_the_agent_meets_it(declared: str, asked: str) -> None:
    assert concrete(declared, SESSION, "eu-west-1") == asked


def test_a_resource_is_of_the_callers_own_partition() -> None:
    caller = Caller("arn:aws-us-gov:sts::111122223333:assumed-role/agentd/a", "111122223333")
    assert concrete("arn:aws:ecr:*:*:repository/a", caller, "us-gov-west-1").startswith(
        "arn:aws-us-gov:ecr:us-gov-west-1:"
    )


def test_a_right_that_several_need_is_asked_once() -> None:
    permission = Permission("aws", "ecr:DescribeImages", "arn:aws:ecr:*:*:repository/team/*")
    needs = [Need(permission, "b"), Need(permission, "a"), Need(Permission("kubernetes", "get", "pods"), "a")]
    (asked,) = together(needs, SESSION, "eu-west-1", [])
    assert asked.events == ("a", "b")
    assert not asked.granted_elsewhere


ASKED = Asked("ecr:PutImage", "arn:aws:ecr:eu-west-1:111122223333:repository/a", (AGENT, "project.create"), False)


@pytest.mark.parametrize(
    ("decision", "elsewhere", "status", "words"),
    [
        (Decision("ecr:PutImage", allowed=True, explicit=False, unknown=()), False, Status.OK, "allowed"),
        (Decision("ecr:PutImage", allowed=False, explicit=False, unknown=()), False, Status.FAILED, "not allowed"),
        (Decision("ecr:PutImage", allowed=False, explicit=True, unknown=()), True, Status.FAILED, "take the deny away"),
        (Decision("ecr:PutImage", allowed=False, explicit=False, unknown=()), True, Status.WARNING, "own policy may"),
        (
            Decision("ecr:PutImage", allowed=False, explicit=False, unknown=("aws:tag",)),
            False,
            Status.WARNING,
            "aws:tag",
        ),
        (None, False, Status.SKIPPED, "no answer"),
    ],
)
def test_a_decision_of_iam(decision: Decision | None, elsewhere: bool, status: Status, words: str) -> None:
    finding = aws_permissions.judged(replace(ASKED, granted_elsewhere=elsewhere), decision, ROLE)
    told(finding, status, words)
    if status is not Status.OK:
        told(finding, status, "allow ecr:PutImage on arn:", ROLE, "the agent itself, project.create")


def test_of_several_resources_the_worst_counts() -> None:
    other = replace(ASKED, resource="arn:aws:ecr:eu-west-1:111122223333:repository/b")
    good = Decision("ecr:PutImage", allowed=True, explicit=False, unknown=())
    decided: Mapping[tuple[str, str], Decision] = {
        ("ecr:PutImage", ASKED.resource): good,
        ("ecr:PutImage", other.resource): replace(good, allowed=False),
    }
    first, finding = aws_permissions.summed_up([ASKED, other], decided, ROLE)
    told(first, Status.FAILED, "0 of 1 actions allowed")
    told(finding, Status.FAILED, "not allowed on arn:aws:ecr:eu-west-1:111122223333:repository/b")
    assert "repository/a" not in finding.found


# -- what is needed ----------------------------------------------------------------------------------------------------


def one_handler(*resources: str) -> Mapping[str, Handler]:
    """A handler that needs a right on each of these."""

    @handler(
        ProjectCreate,
        steps=(),
        timeout_s=1,
        permissions=tuple(Permission("aws", "kms:Use", text) for text in resources),
    )
    async def create(_ctx: object, _data: ProjectCreate) -> None: ...

    return {"project.create": create}


def test_settings_are_filled_in_and_what_is_not_set_is_not_needed() -> None:
    handlers = one_handler("{registry.kms_key}", "repository/{registry.repository_prefix}/*")
    resources = [need.permission.resource for need in of_handlers(handlers, {"registry": RegistryConfig()})]
    assert resources == ["repository/conveyor/data-plane/*"]
    keyed = of_handlers(handlers, {"registry": RegistryConfig(kms_key="alias/images")})
    assert {need.permission.resource for need in keyed} == {"alias/images", "repository/conveyor/data-plane/*"}


@pytest.mark.parametrize(
    ("url", "arn"),
    [
        (
            "https://sqs.eu-west-1.amazonaws.com/111122223333/commands.fifo",
            "arn:aws:sqs:eu-west-1:111122223333:commands.fifo",
        ),
        ("http://127.0.0.1:4566/111122223333/commands", None),
    ],
)
def test_the_arn_behind_a_queues_url(url: str, arn: str | None) -> None:
    assert arn_of(url) == arn


# -- queues ------------------------------------------------------------------------------------------------------------

QUEUE = QueueFacts(
    kind=QueueKind.SQS,
    url="https://sqs.eu-west-1.amazonaws.com/111122223333/commands",
    arn="arn:aws:sqs:eu-west-1:111122223333:commands",
    fifo=False,
    visibility_s=30.0,
    retention_s=4 * DAY_S,
    dead_letters="letters",
    max_receive_count=100,
    kms_key=None,
    encrypted=True,
    has_policy=False,
    visible=0,
)
LETTERS = replace(QUEUE, retention_s=14 * DAY_S)


def test_visibility_of_the_queue_is_for_others() -> None:
    told(queues.visibility(QUEUE, settings(BUS__VISIBILITY_S="90")), Status.OK, "90 s", "30 s")
    told(
        queues.visibility(replace(QUEUE, visibility_s=43_200.0), settings()),
        Status.WARNING,
        "12 h",
        "VisibilityTimeout",
    )


@pytest.mark.parametrize(
    ("queue", "url", "status", "words"),
    [
        (QUEUE, "", Status.OK, "letters after 100"),
        (replace(QUEUE, max_receive_count=20), "", Status.OK, "20"),
        (replace(QUEUE, max_receive_count=19), "", Status.FAILED, "maxReceiveCount"),
        (replace(QUEUE, dead_letters=None), "", Status.FAILED, "refuses"),
        (replace(QUEUE, dead_letters=None), f"{QUEUE.url}-letters", Status.WARNING, "comes back for ever"),
        (QUEUE, f"{QUEUE.url}-letters", Status.WARNING, "commands-letters"),
        (QUEUE, QUEUE.url.replace("commands", "letters"), Status.OK, "letters"),
    ],
    ids=["good", "just enough", "too low", "none", "none but set", "another than set", "the one that is set"],
)
def test_redrive(queue: QueueFacts, url: str, status: Status, words: str) -> None:
    told(queues.redrive(queue, settings(COMMANDS__DEAD_LETTER_QUEUE_URL=url)), status, words)


def test_messages_are_kept_as_long_as_events_may_wait() -> None:
    told(queues.retention(QUEUE, settings()), Status.OK, "4 days")
    told(queues.retention(replace(QUEUE, retention_s=3600.0), settings()), Status.WARNING, "MessageRetentionPeriod")


def test_dead_letters_are_kept_longer_than_commands_and_their_records_longer_still() -> None:
    told(queues.dead_letter_retention(QUEUE, LETTERS, settings()), Status.OK, "14 days")
    told(queues.dead_letter_retention(QUEUE, QUEUE, settings()), Status.WARNING, "first sent")
    # On FIFO queues the time starts again when a message is moved.
    fifo = replace(QUEUE, fifo=True)
    told(queues.dead_letter_retention(fifo, fifo, settings()), Status.OK)
    short = settings(LEDGER__RETENTION_S=str(18 * DAY_S - 1))
    told(
        queues.dead_letter_retention(QUEUE, LETTERS, short), Status.WARNING, "ledger.retention_s", str(int(18 * DAY_S))
    )


def test_dead_letters_are_of_the_same_type() -> None:
    told(queues.same_type(QUEUE, LETTERS), Status.OK)
    told(queues.same_type(replace(QUEUE, fifo=True), LETTERS), Status.FAILED, "FIFO")


def test_encryption() -> None:
    told(queues.encryption("queues.commands", QUEUE), Status.OK)
    told(queues.encryption("queues.commands", replace(QUEUE, encrypted=False)), Status.WARNING, "SqsManagedSseEnabled")
    keyed = replace(QUEUE, encrypted=False, kms_key="alias/queues")
    told(queues.encryption("queues.commands", keyed), Status.OK, "alias/queues")


AZURE = QueueFacts(
    kind=QueueKind.AZURE,
    url="https://account.queue.core.windows.net/commands",
    fifo=False,
    visibility_s=30.0,
    retention_s=7 * DAY_S,
    dead_letters=None,
    max_receive_count=None,
    visible=0,
    encrypted=True,
)
EMBEDDED = replace(
    AZURE,
    kind=QueueKind.EMBEDDED,
    url="file:///var/lib/agentd/queues.db?name=commands",
    retention_s=4 * DAY_S,
    dead_letters="commands-dead-letters",
    max_receive_count=100,
    encrypted=False,
)


def test_what_azure_has_not_is_not_asked_for() -> None:
    told(queues.redrive(AZURE, settings()), Status.OK, "not applicable")
    told(queues.order(AZURE), Status.WARNING, "any order", "wait for an event's report")
    told(queues.retention(AZURE, settings()), Status.OK, "7 days unless their sender says otherwise")
    late = settings(DISPATCH__DEFAULT_EXPIRY_S=str(8 * DAY_S))
    told(queues.retention(AZURE, late), Status.WARNING, "have the sender", "time to live")
    told(queues.dead_letter_retention(AZURE, AZURE, settings()), Status.OK)
    told(queues.encryption("queues.commands", AZURE), Status.OK, "a key of Azure Storage")
    told(queues.volume(AZURE, None), Status.OK, "kept by Azure Storage")


def test_embedded_queue_is_judged_as_one_of_sqs_and_its_file_as_the_ledgers(place: Place) -> None:
    told(queues.redrive(EMBEDDED, settings()), Status.OK, "commands-dead-letters after 100")
    told(queues.order(EMBEDDED), Status.WARNING, "ends in .fifo")
    told(queues.order(replace(EMBEDDED, fifo=True)), Status.OK)
    told(queues.encryption("queues.commands", EMBEDDED), Status.SKIPPED, "encrypt the volume")
    told(queues.volume(EMBEDDED, place), Status.OK, "ext4")
    told(queues.volume(EMBEDDED, replace(place, file_system="overlay")), Status.WARNING, "ends with the container")
    told(queues.volume(EMBEDDED, replace(place, file_system="nfs4", shared=True)), Status.FAILED, "network file system")


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        (None, set()),
        ("alias/queues", set()),
        ("1234abcd", {"arn:aws:kms:eu-west-1:111122223333:key/1234abcd"}),
        ("arn:aws:kms:eu-west-1:444455556666:key/1234abcd", {"arn:aws:kms:eu-west-1:444455556666:key/1234abcd"}),
    ],
)
def test_rights_on_the_key_of_a_queue(key: str | None, asked: set[str]) -> None:
    needs = aws_permissions.on_queue("commands", replace(QUEUE, kms_key=key))
    keys = {need.permission.resource for need in needs if need.permission.action.startswith("kms:")}
    assert keys == asked
    assert QUEUE.arn in {need.permission.resource for need in needs}


# -- ledger ------------------------------------------------------------------------------------------------------------

STATS = LedgerStats(open_events=0, finished_events=3, outbox=0, leases=0, subjects=0, tombstones=0)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Where a ledger may be."""
    return Place(tmp_path, exists=False, writable=True, file_system="ext4", shared=False, free_bytes=2 * GIB)


@pytest.mark.parametrize(
    ("kind", "shared", "status"),
    [
        ("ext4", False, Status.OK),
        ("overlay", False, Status.WARNING),
        ("tmpfs", False, Status.WARNING),
        ("nfs4", True, Status.FAILED),
        (None, False, Status.SKIPPED),
    ],
)
def test_volume(place: Place, kind: str | None, shared: bool, status: Status) -> None:
    told(ledger.volume(replace(place, file_system=kind, shared=shared)), status)


@pytest.mark.parametrize(
    ("free", "status"), [(2 * GIB, Status.OK), (GIB - 1, Status.WARNING), (50 * 1024**2, Status.FAILED)]
)
def test_space(place: Place, free: int, status: Status) -> None:
    told(ledger.space(replace(place, free_bytes=free)), status)


def test_schema_and_integrity() -> None:
    told(ledger.schema(Condition(KNOWN_VERSION, ())), Status.OK)
    told(ledger.schema(Condition(KNOWN_VERSION - 1, ())), Status.WARNING, "migrates")
    told(ledger.schema(Condition(KNOWN_VERSION + 1, ())), Status.FAILED, "newer")
    told(ledger.integrity(Condition(KNOWN_VERSION, ())), Status.OK)
    told(ledger.integrity(Condition(KNOWN_VERSION, ("row 7 missing",))), Status.FAILED, "row 7 missing", "backup")


def test_events_that_do_not_end_are_told_with_what_they_wait_for() -> None:
    told(ledger.events(STATS, settings(), now=0.0), Status.OK, "none open")
    waiting = replace(STATS, open_events=2, oldest_open_at=0.0, waiting={"not_ready": 2})
    told(ledger.events(waiting, settings(), now=3600.0), Status.OK, "60 min")
    told(ledger.events(waiting, settings(), now=2 * DAY_S), Status.WARNING, "2 not_ready", "explain")


@pytest.mark.parametrize(("size", "status"), [(49, Status.OK), (50, Status.WARNING), (100, Status.FAILED)])
def test_outbox(size: int, status: Status) -> None:
    told(ledger.outbox(replace(STATS, outbox=size), settings(REPORTS__OUTBOX_LIMIT="100")), status, str(size))


# -- cluster and identities --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("v1.29.0", Status.OK),
        ("v1.37.4-eks-abc", Status.OK),
        ("1.36.2+k3s1", Status.OK),
        ("v1.28.9", Status.FAILED),
        ("v1.38.0", Status.WARNING),
        ("v2.0.0", Status.WARNING),
        ("latest", Status.WARNING),
    ],
)
def test_version(version: str, status: Status) -> None:
    told(cluster.version(version), status, version)


def node(name: str, *, ready: bool) -> Node:
    """A machine."""
    return Node(name, ready, "v1.36.0", None, None, "amd64", {}, conditions=() if ready else ("DiskPressure",))


def test_nodes() -> None:
    told(cluster.nodes([node("a", ready=True)]), Status.OK, "1 ready")
    told(cluster.nodes([]), Status.WARNING, "none")
    told(cluster.nodes([node("a", ready=True), node("b", ready=False)]), Status.WARNING, "b (DiskPressure)")
    told(cluster.nodes([node(f"n{n}", ready=False) for n in range(9)]), Status.FAILED, "n2", "and 6 more")


PROVIDER = OidcProvider("oidc.example/id/1", "arn:aws:iam::111122223333:oidc-provider/oidc.example/id/1")


@pytest.mark.parametrize(
    ("found", "status", "words"),
    [
        (OidcProviderFound("oidc.example/id/1", ("sts.amazonaws.com",)), Status.OK, "oidc-provider"),
        (None, Status.FAILED, "create one for https://oidc.example/id/1"),
        (OidcProviderFound("oidc.example/id/2", ("sts.amazonaws.com",)), Status.FAILED, "oidc.example/id/2"),
        (OidcProviderFound("oidc.example/id/1", ("other",)), Status.FAILED, "client id sts.amazonaws.com"),
    ],
)
def test_provider(found: OidcProviderFound | None, status: Status, words: str) -> None:
    told(identities.provider(PROVIDER, found), status, words)


@pytest.mark.parametrize(
    ("issuer", "status"),
    [
        ("https://oidc.example/id/1", Status.OK),
        ("https://oidc.example/id/1/", Status.OK),
        ("https://oidc.example/id/2", Status.FAILED),
        (None, Status.SKIPPED),
    ],
)
def test_issuer(issuer: str | None, status: Status) -> None:
    told(identities.issuer(PROVIDER, issuer), status)


# -- words -------------------------------------------------------------------------------------------------------------


def test_words() -> None:
    assert [duration(seconds) for seconds in (0.5, 90, 150, 7200, 2 * DAY_S)] == [
        "0.5 s",
        "90 s",
        "2.5 min",
        "2 h",
        "2 days",
    ]
    assert [days(seconds) for seconds in (60, DAY_S / 2, 14 * DAY_S)] == ["60 s", "0.5 days", "14 days"]
    assert [size(number) for number in (50 * 1024**2, 2.5 * GIB)] == ["50 MiB", "2.5 GiB"]
