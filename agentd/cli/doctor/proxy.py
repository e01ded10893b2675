"""The proxy: where it listens, and certificates that will still be good next week."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from agentd.cli.doctor.certificates import BadCertificate, Validity, validities
from agentd.cli.doctor.findings import Finding, failed, ok, skipped, warned
from agentd.cli.doctor.run import Check
from agentd.cli.doctor.site import Site
from agentd.cli.output import moment
from proxy.config import ProxyConfig
from proxy.tls import server_context

_LISTEN = "proxy.listen"
_CERTIFICATE = "proxy.certificate"
_CLIENT_CA = "proxy.client-ca"
_DAY_S = 86_400.0
_SOON_S = 14 * _DAY_S


async def _listen(site: Site) -> Sequence[Finding]:
    config = site.settings.proxy
    if config.listen_port is None:
        return [skipped(_LISTEN, "the proxy is off", "set proxy.listen_port to answer calls of the control plane")]
    await asyncio.to_thread(server_context, config)  # raises for files that cannot be used
    where = f"{config.listen_host}:{config.listen_port}"
    if config.tls:
        return [ok(_LISTEN, f"{where}, mutual TLS; certificate and key belong together")]
    return [ok(_LISTEN, f"{where}, in plain text, for this machine alone")]


async def _certificates(site: Site) -> Sequence[Finding]:
    config, now = site.settings.proxy, site.runtime.now()
    return [
        await _file(_CERTIFICATE, "proxy.certificate_file", config, config.certificate_file, now),
        await _file(_CLIENT_CA, "proxy.client_ca_file", config, config.client_ca_file, now),
    ]


async def _file(check: str, setting: str, config: ProxyConfig, path: Path | None, now: float) -> Finding:
    if path is None or config.listen_port is None:
        return skipped(
            check, "the proxy speaks no TLS", "set proxy.certificate_file, proxy.key_file, proxy.client_ca_file"
        )
    try:
        found = await asyncio.to_thread(validities, path)
    except OSError as error:
        return failed(
            check, f"{path}: {error.strerror}", f"{setting}: let the agent's user read the file, or mend the path"
        )
    except BadCertificate as error:
        return failed(check, str(error), f"{setting}: name a file with certificates in PEM")
    return good_until(check, setting, path, found, now)


def good_until(check: str, setting: str, path: Path, found: Sequence[Validity], now: float) -> Finding:
    """Whether all certificates of a file are good now, and for a while."""
    mend = f"{setting}: renew {path}"
    first_end, last_begin = min(one.ends_at for one in found), max(one.begins_at for one in found)
    left = (first_end - now) / _DAY_S
    if last_begin > now:
        return failed(
            check, f"{path} is good from {moment(last_begin)} on only", f"{mend}, or set this machine's clock"
        )
    if left <= 0:
        return failed(check, f"{path} expired {-left:.1f} days ago, {moment(first_end)}", mend)
    told = f"{path} is good for {left:.0f} days, until {moment(first_end)}"
    return ok(check, told) if first_end - now > _SOON_S else warned(check, told, mend)


CHECKS = (
    Check((_LISTEN,), _listen, "mend the file that the message names, and let the agent's user read it"),
    Check((_CERTIFICATE, _CLIENT_CA), _certificates, "mend proxy.listen first"),
)
