"""Mutual TLS: who the proxy is, and whose callers it takes. Files that change are taken up without a restart."""

import ssl
from pathlib import Path

from agentd.core import PermanentError, Reason
from agentd.telemetry import get_logger
from proxy.config import ProxyConfig

log = get_logger("proxy")

Mark = tuple[int, int, int]


def server_context(config: ProxyConfig) -> ssl.SSLContext | None:
    """TLS 1.3 with a caller's certificate required; None for plain text on loopback.

    Raises PermanentError that names the setting when a file cannot be used.
    """
    if config.certificate_file is None or config.key_file is None or config.client_ca_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])
    try:
        # An empty password, so that an encrypted key is an error and not a question on the terminal.
        context.load_cert_chain(config.certificate_file, config.key_file, password="")
    except (OSError, ValueError) as error:
        raise _unusable("certificate_file, proxy.key_file", error) from error
    try:
        context.load_verify_locations(config.client_ca_file)
    except (OSError, ValueError) as error:
        raise _unusable("client_ca_file", error) from error
    return context


class ServerTls:
    """What a listener needs of TLS. `context` is None for plain text; else each handshake goes on with the newest files.

    Raises PermanentError as `server_context` does.
    """

    def __init__(self, config: ProxyConfig) -> None:
        self._config = config
        self._marks = self._look()
        self.context = server_context(config)
        self._newest = self.context
        if self.context is not None:
            self.context.sni_callback = self._choose

    def refresh(self) -> None:
        """Take up files that have changed. Those that cannot be used (half of a pair, perhaps) leave all as it was."""
        marks = self._look()
        if marks == self._marks:
            return
        self._marks = marks
        try:
            self._newest = server_context(self._config)
        except PermanentError as error:
            log.error("proxy.certificates_unusable", error=error.message)  # noqa: TRY400 - the message says it all
        else:
            log.info("proxy.certificates_reloaded")

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called in every handshake, whether the caller names a server or not. Authorities change along."""
        if self._newest is not None:
            connection.context = self._newest

    def _look(self) -> list[Mark | None]:
        files = (self._config.certificate_file, self._config.key_file, self._config.client_ca_file)
        return [None if path is None else _mark(path) for path in files]


def _mark(path: Path) -> Mark | None:
    """What differs once the file is another one; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _unusable(setting: str, error: Exception) -> PermanentError:
    return PermanentError(
        Reason.INVALID_REQUEST,
        f"proxy.{setting}: cannot be used: {error}; it must be readable PEM, and certificate and key must belong together",
    )
