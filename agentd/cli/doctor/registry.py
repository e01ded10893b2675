"""The image registry: it answers, logs the agent in, and is the one of the agent's own account."""

from collections.abc import Sequence

from agentd.cli.doctor.findings import Finding, ok, warned
from agentd.cli.doctor.run import Check
from agentd.cli.doctor.site import Site
from agentd.cli.output import moment
from agentd.platform import RegistryCredentials
from agentd.platform.aws.account import Caller

_NOBODY = "agentd-doctor"  # a repository that nobody has: a look at it shows whether the registry answers


async def _reachable(site: Site) -> Sequence[Finding]:
    registry = await site.registry()
    prefix = site.settings.registry.repository_prefix
    await registry.get(f"{prefix}/project/{_NOBODY}")
    return [ok("registry.reachable", f"ECR answers for repositories below {prefix}")]


async def _credentials(site: Site) -> Sequence[Finding]:
    found = await (await site.registry()).credentials()
    host = found.registry.removeprefix("https://")
    login = ok("registry.credentials", f"a login to {host}, good until {moment(found.expires_at.timestamp())}")
    return [login, account(found, await site.caller(), await site.region())]


def account(found: RegistryCredentials, caller: Caller, region: str) -> Finding:
    """Whether the registry is the one of the agent's own account and region."""
    check = "registry.account"
    host = found.registry.removeprefix("https://")
    if host.startswith(f"{caller.account}.") and f".{region}." in host:
        return ok(check, f"account {caller.account}, {region}")
    return warned(
        check,
        f"{host} is not of account {caller.account} in {region}",
        "see that aws.region, aws.endpoint_url and aws.profile are those of the account that images are kept in",
    )


CHECKS = (
    Check(
        ("registry.reachable",),
        _reachable,
        "see that the network reaches ECR (NAT, or VPC endpoints ecr.api and ecr.dkr) and that the agent may "
        "ecr:DescribeRepositories; aws.region is where it looks",
    ),
    Check(
        ("registry.credentials", "registry.account"),
        _credentials,
        "allow ecr:GetAuthorizationToken on * (it knows no narrower resource)",
    ),
)
