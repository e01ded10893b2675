"""Which operation of which service an HTTP request to AWS asks for. Pure.

Sources: the AWS JSON protocol (X-Amz-Target), the query protocol (Action), the S3 REST API, the OCI distribution API,
and Signature Version 4 (the credential scope names the service).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import parse_qs

_SCOPE = re.compile(r"Credential=[^/,]+/\d{8}/[^/]+/(?P<service>[^/]+)/aws4_request")
_TARGET_SERVICES = MappingProxyType(
    {
        "AmazonSQS": "sqs",
        "AmazonEC2ContainerRegistry_V20150921": "ecr",
        "DynamoDB_20120810": "dynamodb",
        "TrentService": "kms",
        "secretsmanager": "secretsmanager",
        "AmazonSSM": "ssm",
    }
)
_READS = (
    "Get",
    "List",
    "Describe",
    "Head",
    "BatchGet",
    "BatchCheck",
    "Receive",
    "AssumeRole",
    "Simulate",
    "Query",
    "Scan",
)

_S3_SUBRESOURCES = MappingProxyType(
    {
        ("GET", "list-type"): "ListObjectsV2",
        ("GET", "versions"): "ListObjectVersions",
        ("GET", "location"): "GetBucketLocation",
        ("GET", "uploads"): "ListMultipartUploads",
        ("POST", "delete"): "DeleteObjects",
        ("POST", "uploads"): "CreateMultipartUpload",
        ("POST", "uploadId"): "CompleteMultipartUpload",
        ("PUT", "partNumber"): "UploadPart",
        ("DELETE", "uploadId"): "AbortMultipartUpload",
        ("GET", "uploadId"): "ListParts",
        ("GET", "versioning"): "GetBucketVersioning",
        ("PUT", "versioning"): "PutBucketVersioning",
        ("GET", "policy"): "GetBucketPolicy",
        ("PUT", "policy"): "PutBucketPolicy",
    }
)
_S3_PLAIN = MappingProxyType(
    {
        ("GET", 0): "ListBuckets",
        ("GET", 1): "ListObjects",
        ("HEAD", 1): "HeadBucket",
        ("PUT", 1): "CreateBucket",
        ("DELETE", 1): "DeleteBucket",
        ("GET", 2): "GetObject",
        ("HEAD", 2): "HeadObject",
        ("PUT", 2): "PutObject",
        ("DELETE", 2): "DeleteObject",
    }
)


class Protocol(StrEnum):
    """How a service spells its errors."""

    JSON = "json"
    QUERY = "query"
    REST_XML = "rest-xml"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the cloud's API."""

    service: str
    operation: str
    protocol: Protocol


def identify(method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Call:
    """The call behind a request. `path` is decoded, `query` is not; header names are in lower case."""
    scope = _SCOPE.search(headers.get("authorization", ""))
    service = scope["service"] if scope else None
    target, dot, operation = headers.get("x-amz-target", "").rpartition(".")
    if dot:
        return Call(service or _TARGET_SERVICES.get(target, "unknown"), operation, Protocol.JSON)
    if service is None and path.startswith("/v2/"):
        return Call("registry", f"{method} {_registry_object(path)}", Protocol.JSON)
    action = _action(query, headers, body)
    if action is not None:
        return Call(service or "unknown", action, Protocol.QUERY)
    return Call(service or "s3", _s3_operation(method, path, query, headers), Protocol.REST_XML)


def is_write(operation: str) -> bool:
    """Whether an operation changes anything that outlives a lease or a session."""
    return not operation.startswith((*_READS, "GET ", "HEAD "))


def _registry_object(path: str) -> str:
    for kind in ("uploads", "blobs", "manifests", "tags"):
        if f"/{kind}/" in path:
            return kind
    return "base"


def _action(query: str, headers: Mapping[str, str], body: bytes) -> str | None:
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        query = f"{query}&{body.decode('utf-8', errors='replace')}"
    actions = parse_qs(query).get("Action", [])
    return actions[0] if actions else None


def _s3_operation(method: str, path: str, query: str, headers: Mapping[str, str]) -> str:
    parameters = parse_qs(query, keep_blank_values=True)
    for name in parameters:
        if known := _S3_SUBRESOURCES.get((method, name)):
            return known
    if "x-amz-copy-source" in headers:
        return "CopyObject"
    depth = min(2, len([part for part in path.split("/", 2) if part]))
    return _S3_PLAIN.get((method, depth), f"{method} {('service', 'bucket', 'object')[depth]}")
