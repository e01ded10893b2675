"""Signatures (AWS Signature Version 4) of requests that differ in target, body and time alone. Pure."""

import hmac
import time
from hashlib import sha256

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials

_SERVICE = "sqs"
_CONTENT_TYPE = "application/x-amz-json-1.0"
_ALGORITHM = "AWS4-HMAC-SHA256"


class Signer:
    """Signs as the SDK does. What stays the same from request to request is worked out once, the day's key once a day."""

    def __init__(self, url: str, region: str) -> None:
        # How the SDK spells host and path of the URL.
        sdk = SigV4Auth(Credentials("", ""), _SERVICE, region)
        request = AWSRequest("POST", url=url)
        self._host: str = sdk.headers_to_sign(request)["host"]
        self._path: str = sdk.canonical_request(request).split("\n")[1]
        self._region = region
        self._key_of: tuple[str | None, str] = (None, "")
        self._key = b""

    def headers(self, target: str, body: bytes, keys: ReadOnlyCredentials, *, now: float) -> dict[str, str]:
        """All headers of a request but those that say who asks. `now`: seconds since the epoch."""
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        headers = {"content-type": _CONTENT_TYPE, "host": self._host, "x-amz-date": moment}
        if keys.token:
            headers["x-amz-security-token"] = keys.token
        headers |= {"x-amz-target": target, "x-amzn-query-mode": "true"}
        signed = ";".join(headers)
        lines = "".join([f"{name}:{value}\n" for name, value in headers.items()])
        request = f"POST\n{self._path}\n\n{lines}\n{signed}\n{sha256(body).hexdigest()}"
        scope = f"{moment[:8]}/{self._region}/{_SERVICE}/aws4_request"
        text = f"{_ALGORITHM}\n{moment}\n{scope}\n{sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(self._day_key(keys.secret_key, moment[:8]), text.encode(), sha256).hex()
        headers["authorization"] = (
            f"{_ALGORITHM} Credential={keys.access_key}/{scope}, SignedHeaders={signed}, Signature={signature}"
        )
        return headers

    def _day_key(self, secret: str | None, day: str) -> bytes:
        if self._key_of != (secret, day):
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, _SERVICE, "aws4_request"):
                key = hmac.digest(key, part.encode(), sha256)
            self._key_of, self._key = (secret, day), key
        return self._key
