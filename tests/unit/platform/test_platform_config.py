"""Settings of the ports, and what handlers get of them."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from agentd.platform import LifecyclePolicy, RepositoryAccess
from agentd.platform.config import ArtifactsConfig, IdentitiesConfig, OidcProvider, RegistryConfig


def test_handlers_get_names_and_specs() -> None:
    config = RegistryConfig(
        repository_prefix="team/plane", keep_images=20, kms_key="alias/images", pull_principals=("111122223333",)
    )
    defaults = config.defaults()
    spec = defaults.spec("project", "shop_cart")
    assert spec.name == defaults.name("project", "shop_cart") == "team/plane/project/shop_cart"
    assert spec.lifecycle == LifecyclePolicy(untagged_days=7, keep_images=20)
    assert spec.access == RepositoryAccess(pull=("111122223333",))
    assert (spec.scan_on_push, spec.immutable_tags, spec.kms_key) == (True, True, "alias/images")


@pytest.mark.parametrize("prefix", ["", "/a", "a/", "A", "a//b", "-a", "a" * 151])
def test_a_prefix_that_ecr_would_refuse_is_refused_at_start(prefix: str) -> None:
    with pytest.raises(ValidationError, match="repository_prefix"):
        RegistryConfig(repository_prefix=prefix)


def test_artifacts_are_in_one_place() -> None:
    with pytest.raises(ValidationError, match="not both"):
        ArtifactsConfig(bucket="bucket", directory=Path("artifacts"))
    for prefix in ("", "/", "a/", "/a"):
        with pytest.raises(ValidationError, match="prefix"):
            ArtifactsConfig(prefix=prefix)
    assert ArtifactsConfig(bucket="bucket", prefix="a").prefix == "a"


_ISSUER = "oidc.eks.eu-west-1.amazonaws.com/id/1234"
_PROVIDER_ARN = f"arn:aws:iam::111122223333:oidc-provider/{_ISSUER}"


@pytest.mark.parametrize("url", [f"https://{_ISSUER}", f"https://{_ISSUER}/"])
def test_identities_of_aws_know_the_clusters_issuer(url: str) -> None:
    config = IdentitiesConfig(provider="aws", oidc_issuer_url=url, oidc_provider_arn=_PROVIDER_ARN)
    assert config.oidc_provider() == OidcProvider(_ISSUER, _PROVIDER_ARN)


@pytest.mark.parametrize("partition", ["aws-cn", "aws-us-gov"])
def test_other_partitions_have_the_same_settings(partition: str) -> None:
    config = IdentitiesConfig(
        provider="aws",
        oidc_issuer_url=f"https://{_ISSUER}",
        oidc_provider_arn=_PROVIDER_ARN.replace("arn:aws:", f"arn:{partition}:"),
        permissions_boundary=f"arn:{partition}:iam::111122223333:policy/team/boundary",
        policies=(f"arn:{partition}:iam::aws:policy/ReadOnlyAccess",),
    )
    assert config.oidc_provider().arn.startswith(f"arn:{partition}:")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "needs oidc_issuer_url and oidc_provider_arn"),
        ({"oidc_issuer_url": f"https://{_ISSUER}"}, "needs oidc_issuer_url and oidc_provider_arn"),
        ({"oidc_issuer_url": "https://other.example.com", "oidc_provider_arn": _PROVIDER_ARN}, "must end in"),
        ({"oidc_issuer_url": f"http://{_ISSUER}", "oidc_provider_arn": _PROVIDER_ARN}, "oidc_issuer_url"),
        ({"oidc_provider_arn": "arn:aws:iam::1:oidc-provider/x"}, "oidc_provider_arn"),
        ({"path": "conveyor"}, "path"),
        ({"path": "/conveyor"}, "path"),
        ({"role_prefix": "a/"}, "role_prefix"),
        ({"permissions_boundary": "arn:aws:iam::111122223333:role/x"}, "permissions_boundary"),
        ({"policies": ["ReadOnlyAccess"]}, "policies"),
        ({"max_session_s": 60}, "max_session_s"),
    ],
)
def test_settings_of_identities_that_aws_would_refuse_are_refused_at_start(
    settings: dict[str, object], named: str
) -> None:
    with pytest.raises(ValidationError, match=named):
        IdentitiesConfig.model_validate({"provider": "aws", **settings})


def test_without_a_provider_identities_need_nothing() -> None:
    assert IdentitiesConfig().provider == "none"
