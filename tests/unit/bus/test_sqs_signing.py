"""Signatures are those that the SDK would make."""

from datetime import UTC, datetime

import pytest
from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from agentd.bus.sqs_signing import Signer

_URLS = [
    "https://sqs.eu-west-1.amazonaws.com/",
    "https://sqs.eu-west-1.api.aws/",
    "http://127.0.0.1:4566/",
    "http://[::1]:4566/",
    "https://gateway.example:443/queues of mine/",
    "https://gateway.example:8443/a/../b//c/",
]
_text = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


TARGET = "AmazonSQS.ReceiveMessage"


def _by_the_sdk(url: str, region: str, body: bytes, keys: Credentials, now: float) -> str:
    """The signature as the SDK works it out for a request with the same headers."""
    request = AWSRequest("POST", url=url, data=body)
    request.context["timestamp"] = datetime.fromtimestamp(now, UTC).strftime(SIGV4_TIMESTAMP)
    request.headers["Content-Type"] = "application/x-amz-json-1.0"
    request.headers["X-Amz-Target"] = TARGET
    request.headers["x-amzn-query-mode"] = "true"
    request.headers["X-Amz-Date"] = request.context["timestamp"]
    if keys.token:
        request.headers["X-Amz-Security-Token"] = keys.token
    signer = SigV4Auth(keys, "sqs", region)
    signed = signer.signed_headers(signer.headers_to_sign(request))
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    return f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={signed}, Signature={signature}"


@given(
    url=st.sampled_from(_URLS),
    region=st.sampled_from(["eu-west-1", "us-gov-west-1", "cn-north-1"]),
    body=st.binary(min_size=1, max_size=200),
    keys=st.builds(Credentials, _text, _text, st.none() | _text),
    now=st.integers(min_value=0, max_value=4_000_000_000),
)
def test_signature_is_the_sdk_s(url: str, region: str, body: bytes, keys: Credentials, now: int) -> None:
    found = Signer(url, region).headers(TARGET, body, keys.get_frozen_credentials(), now=now)
    assert found["authorization"] == _by_the_sdk(url, region, body, keys, now)


@pytest.mark.parametrize("later_s", [1.0, 86_400.0])
def test_other_keys_and_other_days_sign_anew(later_s: float) -> None:
    signer = Signer(_URLS[0], "eu-west-1")
    for number, now in ((1, 0.0), (2, 0.0), (2, later_s), (1, later_s)):
        keys = Credentials(f"id-{number}", f"secret-{number}")
        found = signer.headers(TARGET, b"{}", keys.get_frozen_credentials(), now=now)
        expected = _by_the_sdk(_URLS[0], "eu-west-1", b"{}", keys, now)
        assert found["authorization"] == expected
