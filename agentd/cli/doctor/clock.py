"""This machine's clock beside those of AWS and of the API server."""

from collections.abc import Sequence

from agentd.cli.doctor.cluster import no_cluster
from agentd.cli.doctor.findings import Finding, failed, ok, skipped, warned
from agentd.cli.doctor.run import Check
from agentd.cli.doctor.site import Site

WARN_S = 5.0
FAIL_S = 60.0
_CLUSTER = "clock.cluster"
_MEND = "run a time service on this machine (chrony, systemd-timesyncd; on AWS 169.254.169.123 serves time)"


async def _aws(site: Site) -> Sequence[Finding]:
    return [skew("clock.aws", "AWS", await (await site.account()).ahead_s())]


async def _cluster(site: Site) -> Sequence[Finding]:
    server = await site.server()
    return no_cluster(_CLUSTER) if server is None else [skew(_CLUSTER, "the API server", await server.ahead_s())]


def skew(check: str, whose: str, ahead_s: float | None) -> Finding:
    """Signatures (SigV4) are refused from 300 s on; leases of several replicas and expiry times suffer earlier."""
    if ahead_s is None:
        return skipped(check, f"{whose} did not say what time it is", "see that no proxy takes the Date header away")
    found = f"{abs(ahead_s):.1f} s {'ahead of' if ahead_s > 0 else 'behind'} {whose}"
    if abs(ahead_s) > FAIL_S:
        return failed(
            check, f"{found}: leases and expiry times go wrong, and from 300 s on AWS refuses all calls", _MEND
        )
    if abs(ahead_s) > WARN_S:
        return warned(check, found, _MEND)
    return ok(check, f"within {max(1.0, abs(ahead_s)):.0f} s of {whose}")


CHECKS = (
    Check(("clock.aws",), _aws, "mend aws.caller first: AWS' time comes with its answer"),
    Check((_CLUSTER,), _cluster, "mend cluster.healthy first: the API server's time comes with its answer"),
)
