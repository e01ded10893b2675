"""ECR's policy documents: made, and compared by meaning."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.platform import DEPLOYED_TAG_PREFIX, LifecyclePolicy, RepositoryAccess
from agentd.platform.aws.ecr_policies import access_text, lifecycle_text
from agentd.platform.aws.policies import same_policy


def _expired(policy: str, images: list[tuple[str, ...]], untagged_age_days: int = 100) -> list[tuple[str, ...]]:
    """What ECR would expire, by its documented rules: images are tag lists, newest first; all are equally old."""
    rules: list[dict[str, Any]] = sorted(json.loads(policy)["rules"], key=lambda rule: rule["rulePriority"])
    gone: list[tuple[str, ...]] = []
    for position, rule in enumerate(rules):
        found = [image for image in images if _selects(rule, image)]
        number = rule["selection"]["countNumber"]
        by_count = rule["selection"]["countType"] == "imageCountMoreThan"
        over = found[number:] if by_count else [image for image in found if untagged_age_days > number]
        gone += [image for image in over if not any(_selects(earlier, image) for earlier in rules[:position])]
    return gone


def _selects(rule: dict[str, Any], tags: tuple[str, ...]) -> bool:
    selection = rule["selection"]
    match selection["tagStatus"]:
        case "untagged":
            return not tags
        case "tagged":
            return all(any(tag.startswith(prefix) for tag in tags) for prefix in selection["tagPrefixList"])
        case _:
            return True


IMAGES = st.lists(
    st.lists(st.sampled_from(["build-1", "build-2", f"{DEPLOYED_TAG_PREFIX}dev"]), max_size=3, unique=True).map(tuple),
    max_size=30,
)


@given(images=IMAGES, keep=st.integers(1, 20))
def test_deployed_images_never_expire_and_the_newest_stay(images: list[tuple[str, ...]], keep: int) -> None:
    gone = _expired(lifecycle_text(LifecyclePolicy(untagged_days=7, keep_images=keep)), images)
    assert not any(tag.startswith(DEPLOYED_TAG_PREFIX) for image in gone for tag in image)
    assert [image for image in gone if not image] == [image for image in images if not image]
    assert [image for image in gone if image] == [
        image for image in images[keep:] if image and f"{DEPLOYED_TAG_PREFIX}dev" not in image
    ]


def test_the_lifecycle_policy_is_one_that_ecr_takes() -> None:
    text = lifecycle_text(LifecyclePolicy())
    assert 100 <= len(text) <= 30720
    rules = json.loads(text)["rules"]
    priorities = [rule["rulePriority"] for rule in rules]
    assert priorities == sorted(set(priorities))
    assert [rule["selection"]["tagStatus"] for rule in rules].count("untagged") == 1
    assert rules[-1]["selection"]["tagStatus"] == "any"


def test_equal_settings_give_equal_text() -> None:
    assert lifecycle_text(LifecyclePolicy(3, 20)) == lifecycle_text(LifecyclePolicy(3, 20))
    assert access_text(RepositoryAccess(pull=("b", "a", "a"))) == access_text(RepositoryAccess(pull=("a", "b")))


def test_nobody_has_access_without_principals() -> None:
    assert access_text(RepositoryAccess()) is None


def test_pull_and_push_are_apart() -> None:
    text = access_text(RepositoryAccess(pull=("111122223333",), push=("444455556666",)))
    assert text is not None
    pull, push = json.loads(text)["Statement"]
    assert pull["Principal"] == {"AWS": ["111122223333"]}
    assert push["Principal"] == {"AWS": ["444455556666"]}
    assert "ecr:PutImage" not in pull["Action"]
    assert "ecr:PutImage" in push["Action"]
    assert "*" not in text


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ('{"a":1,"b":[1,2]}', '{ "b": [2, 1], "a": 1 }', True),
        ('{"a":["x"]}', '{"a":"x"}', True),
        ('{"AWS":["111122223333"]}', '{"AWS":"arn:aws:iam::111122223333:root"}', True),
        ('{"AWS":"arn:aws-cn:iam::111122223333:root"}', '{"AWS":"111122223333"}', True),
        ('{"AWS":"arn:aws:iam::111122223333:role/a"}', '{"AWS":"111122223333"}', False),
        ('{"a":1}', '{"a":2}', False),
        ('{"a":1}', '{"a":1,"b":1}', False),
        ('{"a":1}', "no JSON", False),
        (None, '{"a":1}', False),
        (None, None, True),
    ],
)
def test_policies_are_compared_by_meaning(left: str | None, right: str | None, same: bool) -> None:
    assert same_policy(left, right) is same
    assert same_policy(right, left) is same
