"""What Azure Storage says, in our words: codes that no emulator can be made to show, and a server that does not answer."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from azure.core.credentials import AzureSasCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError

from agentd.bus import EntryFailed, EntryRefused, ReceiptLost
from agentd.bus.azure import AzureQueue
from agentd.bus.azure_credentials import of_connection_string
from agentd.bus.azure_errors import call_error, entry_error, entry_of
from agentd.core import AzureConfig, PermanentError, Reason, TransientError, system_runtime

KEY = "AccountName=account;AccountKey=a2V5"


def answered(code: str | None, status: int, headers: Mapping[str, str] | None = None, **info: str) -> HttpResponseError:
    """An error as the SDK raises it once the service has answered."""
    response = SimpleNamespace(
        status_code=status, reason="why", headers={"x-ms-request-id": "r-1", **(headers or {})}, request=None
    )
    error = HttpResponseError("why\nRequestId:r-1\nTime:now", response=response)
    error.error_code = code  # type: ignore[attr-defined]  # set by the SDK of queues
    error.additional_info = info  # type: ignore[attr-defined]  # the same
    return error


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (answered("ServerBusy", 503), TransientError, Reason.THROTTLED),
        (answered(None, 429), TransientError, Reason.THROTTLED),
        (answered("OperationTimedOut", 500), TransientError, Reason.UNAVAILABLE),
        (answered("Whatever", 502), TransientError, Reason.UNAVAILABLE),
        (answered("QueueBeingDeleted", 409), TransientError, Reason.UNAVAILABLE),
        (answered("AuthenticationFailed", 403), PermanentError, Reason.ACCESS_DENIED),
        (answered("AuthorizationPermissionMismatch", 403), PermanentError, Reason.ACCESS_DENIED),
        (answered("NoAuthenticationInformation", 401), PermanentError, Reason.ACCESS_DENIED),
        (answered("QueueNotFound", 404), PermanentError, Reason.INVALID_REQUEST),
        (ClientAuthenticationError("no identity"), PermanentError, Reason.ACCESS_DENIED),
        (ServiceRequestError("no route"), TransientError, Reason.UNAVAILABLE),
        (TimeoutError(), TransientError, Reason.UNAVAILABLE),
        (OSError("reset"), TransientError, Reason.UNAVAILABLE),
    ],
)
def test_error_of_a_call(error: Exception, kind: type[Exception], reason: Reason) -> None:
    translated = call_error(error, operation="GetMessages", queue="commands")
    assert type(translated) is kind
    assert translated.reason is reason
    assert translated.message.startswith("GetMessages on queue commands: ")
    assert "\n" not in translated.message
    if isinstance(error, HttpResponseError) and error.response is not None:
        assert translated.message.endswith("why (request r-1)")


def test_service_says_when_to_come_back() -> None:
    told = call_error(answered("ServerBusy", 503, {"Retry-After": "7"}), operation="o", queue="q")
    assert isinstance(told, TransientError)
    assert told.retry_after == 7
    untold = call_error(answered("ServerBusy", 503, {"Retry-After": "Fri, 31 Dec"}), operation="o", queue="q")
    assert isinstance(untold, TransientError)
    assert untold.retry_after is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answered("PopReceiptMismatch", 400), ReceiptLost),
        (answered("MessageNotFound", 404), ReceiptLost),
        (answered("InvalidQueryParameterValue", 400, queryparametername="popreceipt"), ReceiptLost),
        (answered("InvalidQueryParameterValue", 400, queryparametername="messagettl"), EntryRefused),
        (answered("OutOfRangeQueryParameterValue", 400), EntryRefused),
        (answered("RequestBodyTooLarge", 413), EntryRefused),
        (answered("QueueNotFound", 404), type(None)),
        (answered("ServerBusy", 503), type(None)),
        (answered("AuthenticationFailed", 403), type(None)),
        (ServiceRequestError("no route"), type(None)),
    ],
)
def test_error_of_one_message(error: Exception, kind: type[object]) -> None:
    assert type(entry_error(error)) is kind


def test_error_of_the_queue_as_one_of_several_messages_has_it() -> None:
    assert entry_of(TransientError(Reason.THROTTLED, "slow", retry_after=3)) == EntryFailed("slow", 3)
    assert entry_of(PermanentError(Reason.ACCESS_DENIED, "no")) == EntryRefused("no")


def test_connection_string_gives_a_key_or_a_signature() -> None:
    assert of_connection_string(f"DefaultEndpointsProtocol=https;{KEY}==;EndpointSuffix=core.windows.net\n") == {
        "account_name": "account",
        "account_key": "a2V5==",
    }
    signed = of_connection_string("QueueEndpoint=https://a.queue.core.windows.net;SharedAccessSignature=sv=1&sig=x")
    assert isinstance(signed, AzureSasCredential)
    assert signed.signature == "sv=1&sig=x"


@pytest.mark.parametrize(
    ("url", "text", "why"),
    [
        ("azure+http://127.0.0.1:1/account/q", None, "not encrypted"),
        ("azure+http://127.0.0.1:1/account/q", "AccountName=only", "neither AccountName and AccountKey nor"),
        ("https://account.queue.core.windows.net/q?sv=1&sig=secret", KEY, "is a secret"),
        ("https://account.queue.core.windows.net/", KEY, "is not of the form"),
    ],
)
async def test_open_says_what_is_wrong(url: str, text: str | None, why: str, tmp_path: Path) -> None:
    file = None
    if text is not None:
        file = tmp_path / "connection"
        file.write_text(text)
    queue = AzureQueue(url, name="commands", azure=AzureConfig(connection_string_file=file), runtime=system_runtime())
    with pytest.raises(PermanentError, match=why) as caught:
        await queue.open()
    assert "secret" not in caught.value.message.replace("is a secret", "")


@pytest.mark.parametrize(
    ("azure", "why"),
    [
        (AzureConfig(connection_string_variable="AGENTD_TESTS_UNSET"), "AGENTD_TESTS_UNSET is not set"),
        (AzureConfig(connection_string_file=Path("/nowhere/connection")), "cannot be read"),
    ],
)
async def test_connection_string_that_is_not_there_is_named(azure: AzureConfig, why: str) -> None:
    queue = AzureQueue("azure+http://127.0.0.1:1/account/q", name="commands", azure=azure, runtime=system_runtime())
    with pytest.raises(PermanentError, match=why):
        await queue.open()


async def test_server_that_never_answers_is_cut_off(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        gone.set()

    file = tmp_path / "connection"
    file.write_text(KEY)
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    queue = AzureQueue(
        f"azure+http://127.0.0.1:{port}/account/q",
        name="commands",
        azure=AzureConfig(connection_string_file=file),
        runtime=system_runtime(),
        call_timeout_s=0.3,
    )
    async with server:
        with pytest.raises(TransientError, match="GetQueueMetadata on queue commands: no answer in time"):
            await queue.open()
        async with asyncio.timeout(5):
            await gone.wait()
