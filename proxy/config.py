"""Settings of the proxy."""

from ipaddress import ip_address
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from agentd.core import Config

_TLS_FILES = ("certificate_file", "key_file", "client_ca_file")


class ProxyConfig(Config):
    """The daemon's request/reply face: gRPC."""

    listen_host: str = Field(default="127.0.0.1", min_length=1, max_length=253)
    """Address that calls come to. One that is not loopback needs the three files below: there is no plain text on a network."""
    listen_port: int | None = Field(default=50051, ge=0, le=65535)
    """Port of the same: gRPC's usual one. 0 takes a free one; none (`null` in a file) turns the proxy off."""
    certificate_file: Path | None = None
    """The proxy's certificate with its chain (PEM). Taken up anew within seconds when it changes, as are the next two."""
    key_file: Path | None = None
    """The certificate's private key (PEM, not encrypted)."""
    client_ca_file: Path | None = None
    """Authorities (PEM) that callers' certificates must come from. A caller without one is turned away."""
    max_message_bytes: int = Field(default=4 * 2**20, ge=1024, le=64 * 2**20)
    """Largest message that is taken. The same 4 MiB as gRPC's own libraries take."""
    max_concurrent_calls: int = Field(default=200, ge=1, le=10_000)
    """Calls at work at once, streams included; more are refused. Health checks are not counted."""
    max_streams: int = Field(default=100, ge=1, le=10_000)
    """Streams open at once: below `max_concurrent_calls`, so that streams, which last, leave room for calls."""
    max_connections: int = Field(default=100, ge=1, le=10_000)
    """Connections at once; more are closed at once. Each holds at most 1 MiB of what has come and was not read yet."""
    default_deadline_s: float = Field(default=10.0, gt=0, le=3600)
    """Seconds for a call that brings no deadline of its own. Streams last as long as their callers want."""
    max_deadline_s: float = Field(default=60.0, gt=0, le=3600)
    """Longest deadline that a caller may bring, in seconds; a longer one counts as this one. Not for streams."""
    heartbeat_s: float = Field(default=10.0, gt=0, le=300)
    """Seconds without news after which a stream says that it still stands; below the idle time-outs of load balancers."""
    stall_s: float = Field(default=60.0, gt=0, le=3600)
    """Seconds that one message may take, either way, with a caller that does not read or write; then the call is ended."""
    keepalive_s: float = Field(default=30.0, gt=0, le=3600)
    """Seconds between two pings of a connection. One whose ping is not answered for as long is closed."""
    drain_grace_s: float = Field(default=10.0, ge=0, le=3600)
    """Seconds for calls at work to end once the daemon has been told to stop."""

    @property
    def tls(self) -> bool:
        """Whether callers have to show a certificate, and everything is encrypted."""
        return self.certificate_file is not None

    @model_validator(mode="after")
    def _safe(self) -> Self:
        missing = [name for name in _TLS_FILES if getattr(self, name) is None]
        if missing and len(missing) < len(_TLS_FILES):
            raise ValueError(f"{', '.join(_TLS_FILES)} go together: set {', '.join(missing)} as well")
        if missing and not _is_loopback(self.listen_host):
            raise ValueError(
                f"listen_host: {self.listen_host} is not loopback, and calls would come in plain text from anybody: set "
                f"{', '.join(_TLS_FILES)}, or listen on 127.0.0.1"
            )
        return self

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max_streams >= self.max_concurrent_calls:
            raise ValueError("max_streams must be below max_concurrent_calls")
        if self.default_deadline_s > self.max_deadline_s:
            raise ValueError("default_deadline_s must not be above max_deadline_s")
        return self


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False  # a name: whatever it stands for today may change
