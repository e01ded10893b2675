"""What SQS says, in our words: faults shown by a real server, and the codes that none can be made to show."""

import pytest
from botocore.exceptions import ClientError, CredentialRetrievalError, NoCredentialsError, NoRegionError

from agentd.bus import Done, EntryFailed, EntryRefused, Outgoing, ReceiptLost
from agentd.bus.sqs import SqsQueue
from agentd.bus.sqs_errors import call_error, entry_error
from agentd.core import AwsConfig, PermanentError, Reason, TransientError
from agentd.embedded import FaultKind
from tests.unit.bus.rig import Rig


def _answered(code: str, status: int = 400) -> ClientError:
    response = {
        "Error": {"Code": code, "Message": "why"},
        "ResponseMetadata": {"RequestId": "r-1", "HTTPStatusCode": status},
    }
    return ClientError(response, "ReceiveMessage")  # type: ignore[arg-type]  # the stubs ask for fields that are optional


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (_answered("RequestThrottled"), TransientError, Reason.THROTTLED),
        (_answered("OverLimit", 403), TransientError, Reason.THROTTLED),
        (_answered("KmsThrottled"), TransientError, Reason.THROTTLED),
        (_answered("AWS.SimpleQueueService.RequestThrottled"), TransientError, Reason.THROTTLED),
        (_answered("ExpiredToken", 403), TransientError, Reason.UNAVAILABLE),
        (_answered("Whatever", 503), TransientError, Reason.UNAVAILABLE),
        (_answered("KmsAccessDenied"), PermanentError, Reason.ACCESS_DENIED),
        (_answered("AccessDenied", 403), PermanentError, Reason.ACCESS_DENIED),
        (_answered("QueueDoesNotExist"), PermanentError, Reason.INVALID_REQUEST),
        (NoCredentialsError(), PermanentError, Reason.ACCESS_DENIED),
        (NoRegionError(), PermanentError, Reason.INVALID_REQUEST),
        (CredentialRetrievalError(provider="web", error_msg="down"), TransientError, Reason.UNAVAILABLE),
        (TimeoutError(), TransientError, Reason.UNAVAILABLE),
        (OSError("reset"), TransientError, Reason.UNAVAILABLE),
    ],
)
def test_error_of_a_call(error: Exception, kind: type[Exception], reason: Reason) -> None:
    translated = call_error(error, operation="ReceiveMessage", queue="commands")
    assert type(translated) is kind
    assert translated.reason is reason
    assert translated.message.startswith("ReceiveMessage on queue commands: ")
    if isinstance(error, ClientError):
        assert "(request r-1)" in translated.message


@pytest.mark.parametrize(
    ("code", "message", "sender_fault", "kind"),
    [
        ("ReceiptHandleIsInvalid", "", True, ReceiptLost),
        ("AWS.SimpleQueueService.MessageNotInflight", "", True, ReceiptLost),
        (
            "InvalidParameterValue",
            "Value x for parameter ReceiptHandle is invalid. Reason: expired.",
            True,
            ReceiptLost,
        ),
        ("InvalidParameterValue", "Total VisibilityTimeout for the message is beyond the limit.", True, EntryRefused),
        ("InvalidMessageContents", "", True, EntryRefused),
        ("RequestThrottled", "", True, EntryFailed),
        ("InternalError", "", False, EntryFailed),
        ("Whatever", "", False, EntryFailed),
    ],
)
def test_error_of_an_entry(code: str, message: str, sender_fault: bool, kind: type[object]) -> None:
    assert type(entry_error(code, message, sender_fault=sender_fault)) is kind


@pytest.mark.asyncio(loop_scope="session")
async def test_faults_of_a_server_are_translated(rig: Rig) -> None:
    await rig.fault("ReceiveMessage", code="RequestThrottled", status=400)
    with pytest.raises(TransientError, match=r"ReceiveMessage on queue commands: RequestThrottled") as throttled:
        await rig.commands.receive(1, wait_s=0, visibility_s=1)
    assert throttled.value.reason is Reason.THROTTLED
    await rig.fault("GetQueueAttributes", code="AccessDenied", status=403)
    with pytest.raises(PermanentError, match="GetQueueAttributes on queue commands: AccessDenied") as denied:
        await rig.commands.depth()
    assert denied.value.reason is Reason.ACCESS_DENIED
    await rig.fault("SendMessageBatch", kind=FaultKind.DROP_BEFORE)
    with pytest.raises(TransientError, match="SendMessageBatch on queue commands: ConnectionClosed"):
        await rig.commands.send([Outgoing("x")])


@pytest.mark.asyncio(loop_scope="session")
async def test_hung_call_is_cut(rig: Rig) -> None:
    impatient = SqsQueue(
        rig.commands.url,
        name="commands",
        aws=AwsConfig(region="eu-west-1", endpoint_url=rig.cloud.endpoint_url),
        runtime=rig.runtime,
        call_timeout_s=0.3,
        session=rig.admin.session,
    )
    await impatient.open()
    await rig.fault("GetQueueAttributes", kind=FaultKind.DELAY, delay_s=30, times=1)
    with pytest.raises(TransientError, match="no answer in time"):
        await impatient.depth()
    await impatient.close()


@pytest.mark.asyncio(loop_scope="session")
async def test_later_part_of_a_split_send_fails_alone(rig: Rig) -> None:
    await rig.fault("SendMessageBatch", contains="second")
    results = await rig.commands.send([Outgoing("x" * 700_000), Outgoing("second" + "x" * 700_000)])
    assert [type(result) for result in results] == [Done, EntryFailed]
    await rig.fault("SendMessageBatch", contains="first")
    with pytest.raises(TransientError):
        await rig.commands.send([Outgoing("first" + "x" * 700_000), Outgoing("second" + "x" * 700_000)])


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("aws", "kind", "match"),
    [
        (AwsConfig(region="eu-west-1", endpoint_url="http://127.0.0.1:1"), TransientError, "GetQueueAttributes"),
        (AwsConfig(region="eu-west-1", endpoint_url="http://a..b"), PermanentError, "connect to queue commands"),
        (AwsConfig(profile="nobody"), PermanentError, "connect on queue commands: The config profile"),
    ],
)
async def test_open_says_what_is_wrong(rig: Rig, aws: AwsConfig, kind: type[Exception], match: str) -> None:
    queue = SqsQueue("http://127.0.0.1:1/1/q", name="commands", aws=aws, runtime=rig.runtime)
    with pytest.raises(kind, match=match):
        await queue.open()
    with pytest.raises(RuntimeError, match="not open"):
        _ = queue.limits


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-north-1.amazonaws.com/1/q", "eu-north-1"),
        ("https://eu-central-1.queue.amazonaws.com/1/q", "eu-central-1"),
        ("http://127.0.0.1:4566/1/q", None),
    ],
)
def test_region_is_read_from_the_url_of_aws(url: str, region: str | None) -> None:
    from agentd.bus.sqs import region_of

    assert region_of(url) == region
