"""How long a call may take: what its caller asks, within what the installation allows."""

import re
from dataclasses import dataclass

from proxy.config import ProxyConfig

# Source: "Timeout" of the gRPC over HTTP/2 specification.
_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])")
_UNITS_S = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


@dataclass(frozen=True, slots=True)
class Deadline:
    """`seconds` is None for no limit; `why` says whose limit it is."""

    seconds: float | None
    why: str


def asked_s(header: str | None) -> float | None:
    """Seconds of a `grpc-timeout` header; None when there is none. ValueError when it is malformed."""
    if header is None:
        return None
    match = _TIMEOUT.fullmatch(header)
    if match is None:
        raise ValueError(f"grpc-timeout: {header[:20]!r} is not up to eight digits and one of H, M, S, m, u, n")
    return int(match[1]) * _UNITS_S[match[2]]


def deadline(asked: float | None, *, streaming: bool, config: ProxyConfig) -> Deadline:
    """The deadline of a call whose caller asks for so many seconds."""
    if streaming:
        return Deadline(asked, "the caller's deadline")
    if asked is None:
        return Deadline(config.default_deadline_s, "the proxy's default, as the call brought no deadline")
    if asked > config.max_deadline_s:
        return Deadline(config.max_deadline_s, "the proxy's maximum")
    return Deadline(asked, "the caller's deadline")
