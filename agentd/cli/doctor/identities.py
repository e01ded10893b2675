"""Identities of workloads: the cluster's issuer is known to IAM, and what bounds every role exists."""

from collections.abc import Sequence

from agentd.cli.doctor.findings import Finding, failed, ok, skipped, warned
from agentd.cli.doctor.run import Check
from agentd.cli.doctor.site import Site
from agentd.core import AgentError
from agentd.platform.aws.account import AwsAccount, OidcProviderFound
from agentd.platform.config import IdentitiesConfig, OidcProvider

_PROVIDER = "identities.provider"
_ISSUER = "identities.issuer"
_BOUNDARY = "identities.boundary"
_POLICIES = "identities.policies"
AUDIENCE = "sts.amazonaws.com"
"""What tokens of service accounts are made out to. Source: EKS' documentation of IAM roles for service accounts."""


async def _provider(site: Site) -> Sequence[Finding]:
    config = site.settings.identities
    if config.provider == "none":
        return _none(_PROVIDER, _ISSUER)
    wanted = config.oidc_provider()
    found = await (await site.account()).oidc_provider(wanted.arn)
    return [provider(wanted, found), issuer(wanted, await _cluster_issuer(site))]


async def _cluster_issuer(site: Site) -> str | None:
    """None also when the cluster cannot be asked: the cluster's own checks say why."""
    try:
        server = await site.server()
        return None if server is None else await server.issuer()
    except AgentError:
        return None


async def _policies(site: Site) -> Sequence[Finding]:
    config = site.settings.identities
    if config.provider == "none":
        return _none(_BOUNDARY, _POLICIES)
    account = await site.account()
    return [await _boundary(config, account), await _attached(config, account)]


async def _boundary(config: IdentitiesConfig, account: AwsAccount) -> Finding:
    arn = config.permissions_boundary
    if arn is None:
        return warned(
            _BOUNDARY,
            "none is set: events can give an environment's role every policy that the agent may attach",
            "set identities.permissions_boundary to a policy that bounds what workloads may ever do",
        )
    if await account.has_policy(arn):
        return ok(_BOUNDARY, arn)
    return failed(_BOUNDARY, f"there is no policy {arn}", "create it, or mend identities.permissions_boundary")


async def _attached(config: IdentitiesConfig, account: AwsAccount) -> Finding:
    missing = [arn for arn in config.policies if not await account.has_policy(arn)]
    if missing:
        return failed(
            _POLICIES, f"there is no policy {', '.join(missing)}", "create what is missing, or mend identities.policies"
        )
    return ok(_POLICIES, ", ".join(config.policies) or "none beside those that events ask for")


def provider(wanted: OidcProvider, found: OidcProviderFound | None) -> Finding:
    """Whether IAM knows the issuer that the settings name."""
    if found is None:
        return failed(
            _PROVIDER,
            f"IAM has no OIDC provider {wanted.arn}",
            f"create one for https://{wanted.issuer} with audience {AUDIENCE}, or mend identities.oidc_provider_arn",
        )
    if found.issuer.rstrip("/") != wanted.issuer:
        return failed(
            _PROVIDER,
            f"{wanted.arn} is of issuer {found.issuer}, and identities.oidc_issuer_url is https://{wanted.issuer}",
            "let both settings name the cluster's own issuer",
        )
    if AUDIENCE not in found.audiences:
        return failed(
            _PROVIDER,
            f"{wanted.arn} does not take audience {AUDIENCE}, but: {', '.join(found.audiences) or 'none'}",
            f"add the client id {AUDIENCE} to the provider",
        )
    return ok(_PROVIDER, wanted.arn)


def issuer(wanted: OidcProvider, found: str | None) -> Finding:
    """Whether it is the issuer of this cluster."""
    if found is None:
        return skipped(
            _ISSUER,
            "the API server does not tell the agent who issues its tokens",
            "bind the ClusterRole system:service-account-issuer-discovery to the agent, or compare it by hand: kubectl get "
            "--raw /.well-known/openid-configuration",
        )
    if found.removeprefix("https://").rstrip("/") == wanted.issuer:
        return ok(_ISSUER, found)
    return failed(
        _ISSUER,
        f"the cluster's issuer is {found}, and identities.oidc_issuer_url is https://{wanted.issuer}: no pod gets its role",
        "set identities.oidc_issuer_url and identities.oidc_provider_arn to this cluster's",
    )


def _none(*checks: str) -> list[Finding]:
    mend = "set identities.provider to aws if environments are to have roles of their own"
    return [
        skipped(check, "identities.provider is none: workloads have no identity of their own", mend) for check in checks
    ]


CHECKS = (
    Check(
        (_PROVIDER, _ISSUER),
        _provider,
        "allow the agent iam:GetOpenIDConnectProvider on the provider, or look at it by hand",
        for_the_doctor_alone=True,
    ),
    Check(
        (_BOUNDARY, _POLICIES),
        _policies,
        "allow the agent iam:GetPolicy on the policies, or see by hand that they are there",
        for_the_doctor_alone=True,
    ),
)
