"""Calls to SQS go where, how and with what the SDK's own calls would, and what comes back is read as the SDK reads it."""

import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiobotocore.config import AioConfig
from aiohttp import web
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agentd.bus.sqs import SqsQueue
from agentd.bus.sqs_calls import new_session, sqs_calls
from agentd.core import AwsConfig, PermanentError, Reason, TransientError, system_runtime

REGION = "eu-west-1"
ATTRIBUTES = {"MaximumMessageSize": "262144", "VisibilityTimeout": "30", "MessageRetentionPeriod": "345600"}


@dataclass(slots=True)
class Endpoint:
    """A server that answers every request with the same, and keeps what it was asked."""

    url: str = ""
    status: int = 200
    body: bytes = json.dumps({"Attributes": ATTRIBUTES}).encode()
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)

    @property
    def aws(self) -> AwsConfig:
        """How an adapter reaches it."""
        return AwsConfig(region=REGION, endpoint_url=self.url)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """The same for all."""
        self.asked.append(
            (
                request.path_qs,
                {name.lower(): value for name, value in request.headers.items()},
                await request.json(),
            )
        )
        return web.Response(status=self.status, body=self.body, headers=self.headers)


async def _serve(endpoint: Endpoint, tls: ssl.SSLContext | None = None) -> web.ServerRunner:
    runner = web.ServerRunner(web.Server(endpoint.answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    endpoint.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    return runner


@pytest_asyncio.fixture
async def endpoint(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Endpoint]:
    """A new one for each test, with credentials that it does not look at."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    endpoint = Endpoint()
    runner = await _serve(endpoint)
    yield endpoint
    await runner.cleanup()


def _queue(aws: AwsConfig) -> SqsQueue:
    return SqsQueue("http://sqs.example/1/q", name="commands", aws=aws, runtime=system_runtime())


async def _error_of_the_sdk(endpoint: Endpoint) -> ClientError:
    config = AioConfig(retries={"total_max_attempts": 1})
    session = new_session(None)
    async with session.create_client("sqs", region_name=REGION, endpoint_url=endpoint.url, config=config) as client:
        with pytest.raises(ClientError) as found:
            await client.receive_message(QueueUrl="http://sqs.example/1/q")
    return found.value


async def _error_of_ours(endpoint: Endpoint) -> ClientError:
    calls = sqs_calls(
        new_session(None),
        region=REGION,
        endpoint_url=endpoint.url,
        connect_timeout_s=1,
        read_timeout_s=1,
        connections=1,
        runtime=system_runtime(),
    )
    async with calls as ours:
        with pytest.raises(ClientError) as found:
            await ours.call("ReceiveMessage", {"QueueUrl": "http://sqs.example/1/q"})
    return found.value


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (400, {}, b'{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no such queue"}'),
        (
            400,
            {"x-amzn-query-error": "AWS.SimpleQueueService.NonExistentQueue;Sender", "x-amzn-RequestId": "r-1"},
            b'{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no such queue"}',
        ),
        (403, {"x-amzn-RequestId": "r-2"}, b'{"__type":"InvalidClientTokenId","Message":"who?"}'),
        (403, {}, b'{"__type":"ExpiredToken:http://internal","message":"late"}'),
        (503, {}, b"<html><body>Service Unavailable</body></html>"),
        (503, {}, b""),
        (502, {}, b"bad gateway"),
        (400, {}, b"{}"),
    ],
)
async def test_refusals_are_read_as_the_sdk_reads_them(
    endpoint: Endpoint, status: int, headers: dict[str, str], body: bytes
) -> None:
    endpoint.status, endpoint.headers, endpoint.body = status, headers, body
    theirs, ours = await _error_of_the_sdk(endpoint), await _error_of_ours(endpoint)
    assert str(ours) == str(theirs).replace(" (reached max retries: 0)", "")
    assert ours.response["Error"] == theirs.response["Error"]
    assert ours.operation_name == theirs.operation_name
    metadata = [error.response["ResponseMetadata"] for error in (ours, theirs)]
    assert metadata[0].get("RequestId") == metadata[1].get("RequestId")
    assert metadata[0]["HTTPStatusCode"] == metadata[1]["HTTPStatusCode"] == status


async def test_request_is_the_sdk_s(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token")
    queue = _queue(endpoint.aws)
    await queue.open()
    await queue.close()
    session = new_session(None)
    async with session.create_client("sqs", region_name=REGION, endpoint_url=endpoint.url) as client:
        await client.get_queue_attributes(QueueUrl="http://sqs.example/1/q", AttributeNames=["All"])
    (path, ours, body), (their_path, theirs, their_body) = endpoint.asked
    assert (path, body) == (their_path, their_body)
    changing = {"authorization", "x-amz-date", "user-agent", "content-length"}
    told = {"amz-sdk-invocation-id", "amz-sdk-request"}  # how often the SDK has tried: we do not try again
    assert {name: value for name, value in ours.items() if name not in changing} == {
        name: value for name, value in theirs.items() if name not in changing | told
    }
    signed = [headers["authorization"].split(", ")[1] for headers in (ours, theirs)]
    assert signed[0] == signed[1]
    assert ours["user-agent"].startswith("aiobotocore/")


async def test_proxy_of_the_environment_is_used(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", endpoint.url)
    queue = _queue(AwsConfig(region=REGION, endpoint_url="http://sqs.example:4566"))
    await queue.open()
    await queue.close()
    assert [headers["host"] for _, headers, _ in endpoint.asked] == ["sqs.example:4566"]


async def test_endpoint_of_the_environment_is_used(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"{endpoint.url}/prefix")
    queue = _queue(AwsConfig(region=REGION))
    await queue.open()
    await queue.close()
    assert [path for path, _, _ in endpoint.asked] == ["/prefix/"]


async def test_authorities_of_the_environment_are_trusted_and_no_others(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runner = await _serve(endpoint, _tls(tmp_path))
    queue = _queue(endpoint.aws)
    with pytest.raises(TransientError, match="SSLError"):
        await queue.open()
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    queue = _queue(endpoint.aws)
    await queue.open()
    await queue.close()
    await runner.cleanup()
    assert len(endpoint.asked) == 1


async def test_credentials_are_renewed_when_they_end(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    # Each run of the program gives another key; those of the first end within the time in which the SDK looks for new ones.
    program = tmp_path / "credentials"
    program.write_text(
        "#!/bin/sh\n"
        f'echo x >> "{tmp_path}/runs"\n'
        f'n=$(wc -l < "{tmp_path}/runs")\n'
        f'ends=$([ "$n" = 1 ] && echo {_ending(60)} || echo {_ending(86_400)})\n'
        'printf \'{"Version":1,"AccessKeyId":"id-%s","SecretAccessKey":"s","Expiration":"%s"}\' "$n" "$ends"\n'
    )
    program.chmod(0o755)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    queue = _queue(endpoint.aws)
    await queue.open()
    await queue.depth()
    await queue.close()
    keys = [headers["authorization"].split("Credential=")[1].split("/")[0] for _, headers, _ in endpoint.asked]
    assert keys[-1] == "id-2"


async def test_no_credentials_are_an_error_that_says_so(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(PermanentError, match="credentials") as found:
        await _queue(endpoint.aws).open()
    assert found.value.reason is Reason.ACCESS_DENIED
    assert endpoint.asked == []


async def test_answer_that_is_no_json_may_pass(endpoint: Endpoint) -> None:
    endpoint.body = b"<html>a captive portal</html>"
    with pytest.raises(TransientError, match="no JSON"):
        await _queue(endpoint.aws).open()


def _ending(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _tls(folder: Path) -> ssl.SSLContext:
    """A certificate of its own for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sqs.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context
