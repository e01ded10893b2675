"""Settings of the ports, and what handlers get of them."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from agentd.platform import LifecyclePolicy, RepositoryAccess
from agentd.platform.config import ArtifactsConfig, RegistryConfig


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
