"""AWS: which region, as whom, with which credentials."""

from collections.abc import Sequence

from agentd.bus.sqs import region_of
from agentd.cli.doctor.findings import Finding, failed, ok, warned
from agentd.cli.doctor.run import Check
from agentd.cli.doctor.site import Site
from agentd.cli.output import moment
from agentd.platform.aws.account import Caller, CredentialsFound
from agentd.settings import Settings


async def _region(site: Site) -> Sequence[Finding]:
    return [region(await site.region(), site.settings)]


async def _credentials(site: Site) -> Sequence[Finding]:
    return [credentials(await (await site.account()).credentials(), now=site.runtime.now())]


async def _caller(site: Site) -> Sequence[Finding]:
    return [caller(await site.caller())]


def region(found: str, settings: Settings) -> Finding:
    """Whether queues and the rest are asked for where they are."""
    check = "aws.region"
    urls = {
        "commands.queue_url": settings.commands.queue_url,
        "commands.dead_letter_queue_url": settings.commands.dead_letter_queue_url or "",
        "reports_queue_url": settings.reports_queue_url,
    }
    elsewhere = {name: other for name, url in urls.items() if (other := region_of(url)) not in (None, found)}
    if elsewhere:
        named = ", ".join(f"{name} is in {other}" for name, other in elsewhere.items())
        return failed(check, f"{found}, but {named}", "set aws.region to the queues' region, or mend the URLs")
    return ok(check, found)


def credentials(found: CredentialsFound | None, *, now: float) -> Finding:
    """Where credentials come from, and whether they will last."""
    check = "aws.credentials"
    if found is None:
        return failed(
            check,
            "the SDK finds none",
            "give the agent a role: of the ECS task, the pod (IRSA, EKS Pod Identity) or the instance; or set aws.profile",
        )
    source = f"from {found.source}"
    if found.renewed:
        until = "" if found.ends_at is None else f", good until {moment(found.ends_at)}"
        if found.ends_at is not None and found.ends_at < now:
            return failed(
                check, f"{source}, ended {moment(found.ends_at)}", f"see why {found.source} gives no new ones"
            )
        return ok(check, f"{source}{until}; the SDK renews them")
    if found.temporary:
        return warned(
            check,
            f"{source}: a session that ends, and that nothing renews",
            "give the agent a role in place of copied session credentials",
        )
    return warned(
        check, f"{source}: long-lived access keys", "give the agent a role: keys leak, and somebody has to rotate them"
    )


def caller(found: Caller) -> Finding:
    """As whom the agent acts."""
    check = "aws.caller"
    if found.is_root:
        return warned(
            check,
            f"{found.arn}: the root user, which may do everything in the account",
            "run the agent as a role of its own with the permissions that `agentd schema permissions` lists",
        )
    return ok(check, found.arn)


CHECKS = (
    Check(
        ("aws.region",),
        _region,
        "set aws.region to the region of the queues (or AWS_DEFAULT_REGION, or the region of a profile)",
    ),
    Check(
        ("aws.credentials",),
        _credentials,
        "give the agent a role, or mend what its profile, container or instance says about credentials",
    ),
    Check(
        ("aws.caller",),
        _caller,
        "mend aws.credentials first; then see that the network reaches STS in this region (a VPC endpoint will do)",
    ),
)
