"""What the clouds' SDKs say, in our words."""

from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, NoRegionError

from agentd.core import PermanentError, Reason, TransientError
from agentd.ledger.azure_table import errors as azure
from agentd.ledger.dynamodb import errors as dynamodb


def answer(code: str, *, status: int = 400, reasons: list[str] | None = None) -> ClientError:
    """An error that DynamoDB answers with."""
    response: Any = {
        "Error": {"Code": code, "Message": "why"},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "r-1"},
    }
    if reasons is not None:
        response["CancellationReasons"] = [{"Code": reason} for reason in reasons]
    return ClientError(response, "TransactWriteItems")


@pytest.mark.parametrize(
    ("error", "conflict"),
    [
        (answer("ConditionalCheckFailedException"), True),
        (answer("TransactionConflictException"), True),
        (answer("TransactionCanceledException", reasons=["None", "ConditionalCheckFailed"]), True),
        (answer("TransactionCanceledException", reasons=["TransactionConflict", "ConditionalCheckFailed"]), True),
        (answer("TransactionCanceledException", reasons=["ProvisionedThroughputExceeded", "None"]), True),
        (answer("TransactionCanceledException", reasons=["ThrottlingError", "TransactionConflict"]), True),
        (answer("TransactionCanceledException", reasons=["ValidationError", "ConditionalCheckFailed"]), False),
        (answer("TransactionCanceledException", reasons=["ItemCollectionSizeLimitExceeded"]), False),
        (answer("TransactionCanceledException", reasons=["None"]), False),
        (answer("ProvisionedThroughputExceededException"), False),
        (OSError("gone"), False),
    ],
)
def test_what_begins_anew_on_dynamodb(error: Exception, *, conflict: bool) -> None:
    assert dynamodb.is_conflict(error) is conflict


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (answer("ProvisionedThroughputExceededException"), TransientError, Reason.THROTTLED),
        (answer("ThrottlingException"), TransientError, Reason.THROTTLED),
        (answer("InternalServerError", status=500), TransientError, Reason.UNAVAILABLE),
        (answer("AnythingElse", status=503), TransientError, Reason.UNAVAILABLE),
        (answer("ExpiredTokenException"), TransientError, Reason.UNAVAILABLE),
        (answer("AccessDeniedException"), PermanentError, Reason.ACCESS_DENIED),
        (answer("UnrecognizedClientException"), PermanentError, Reason.ACCESS_DENIED),
        (answer("ValidationException"), PermanentError, Reason.INVALID_REQUEST),
        (NoCredentialsError(), PermanentError, Reason.ACCESS_DENIED),
        (NoRegionError(), PermanentError, Reason.INVALID_REQUEST),
        (EndpointConnectionError(endpoint_url="http://x"), TransientError, Reason.UNAVAILABLE),
        (TimeoutError(), TransientError, Reason.UNAVAILABLE),
    ],
)
def test_what_dynamodb_says(error: Exception, kind: type[Exception], reason: Reason) -> None:
    told = dynamodb.call_error(error, operation="PutItem", table="ledger")
    assert type(told) is kind
    assert told.reason is reason
    assert told.message.startswith("PutItem on table ledger: ")
    if isinstance(error, ClientError):
        assert told.message.endswith("why (request r-1)")


def test_what_azure_says_without_an_answer() -> None:
    gone = azure.call_error(ServiceRequestError("cannot connect\nmore"), operation="Batch", table="ledger")
    assert (type(gone), gone.reason) == (TransientError, Reason.UNAVAILABLE)
    assert gone.message == "Batch on table ledger: ServiceRequestError: cannot connect"
    slow = azure.call_error(TimeoutError(), operation="Batch", table="ledger")
    assert (type(slow), slow.message) == (TransientError, "Batch on table ledger: no answer in time")
    stranger = azure.call_error(ClientAuthenticationError("no identity"), operation="Batch", table="ledger")
    assert (type(stranger), stranger.reason) == (PermanentError, Reason.ACCESS_DENIED)
