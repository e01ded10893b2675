"""Which call a request is."""

import pytest

from agentd.embedded.calls import Call, Protocol, identify, is_write


def _signed(service: str) -> str:
    return f"AWS4-HMAC-SHA256 Credential=111122223333/20300102/eu-west-1/{service}/aws4_request, SignedHeaders=host, Signature=0"


def test_json_protocol_names_the_operation_in_its_target() -> None:
    headers = {"x-amz-target": "AmazonSQS.ReceiveMessage", "authorization": _signed("sqs")}
    assert identify("POST", "/", "", headers, b"{}") == Call("sqs", "ReceiveMessage", Protocol.JSON)


def test_an_unsigned_json_call_is_known_by_its_target() -> None:
    headers = {"x-amz-target": "AmazonEC2ContainerRegistry_V20150921.CreateRepository"}
    assert identify("POST", "/", "", headers, b"{}") == Call("ecr", "CreateRepository", Protocol.JSON)


def test_query_protocol_names_the_operation_in_the_body() -> None:
    headers = {"authorization": _signed("sts"), "content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    assert identify("POST", "/", "", headers, body) == Call("sts", "GetCallerIdentity", Protocol.QUERY)


@pytest.mark.parametrize(
    ("method", "path", "query", "operation"),
    [
        ("GET", "/", "", "ListBuckets"),
        ("PUT", "/bucket", "", "CreateBucket"),
        ("PUT", "/bucket/", "", "CreateBucket"),
        ("GET", "/bucket", "list-type=2&prefix=a", "ListObjectsV2"),
        ("GET", "/bucket/a/b", "", "GetObject"),
        ("GET", "/bucket/a/b", "x-id=GetObject", "GetObject"),
        ("HEAD", "/bucket/a/b", "", "HeadObject"),
        ("PUT", "/bucket/a/b", "partNumber=1&uploadId=u", "UploadPart"),
        ("POST", "/bucket/a/b", "uploads", "CreateMultipartUpload"),
        ("POST", "/bucket", "delete", "DeleteObjects"),
        ("DELETE", "/bucket/a/b", "", "DeleteObject"),
        ("PATCH", "/bucket/a/b", "", "PATCH object"),
    ],
)
def test_s3_operations_follow_from_the_shape_of_the_request(method: str, path: str, query: str, operation: str) -> None:
    call = identify(method, path, query, {"authorization": _signed("s3")}, b"")
    assert call == Call("s3", operation, Protocol.REST_XML)


def test_a_push_to_the_registry_is_told_from_the_api() -> None:
    assert identify("PUT", "/v2/team/app/manifests/1", "", {}, b"{}").operation == "PUT manifests"
    assert identify("PUT", "/v2/team/app/manifests/1", "", {}, b"{}").service == "registry"


@pytest.mark.parametrize(
    ("operation", "write"),
    [
        ("CreateRepository", True),
        ("TagResource", True),
        ("BatchDeleteImage", True),
        ("PutObject", True),
        ("PUT manifests", True),
        ("BatchGetImage", False),
        ("DescribeRepositories", False),
        ("GetAuthorizationToken", False),
        ("ReceiveMessage", False),
        ("GET manifests", False),
    ],
)
def test_writes_are_told_from_reads(operation: str, write: bool) -> None:
    assert is_write(operation) is write
