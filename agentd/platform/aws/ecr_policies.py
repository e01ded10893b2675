"""ECR's two policy documents: made, and compared by meaning. Pure.

Lifecycle rules, as AWS documents them: the lowest rulePriority goes first; an image that matches the tagging
requirements of a rule is never expired by a rule that comes later; at most one rule selects untagged images; a rule for
`any` comes last. So a rule for the deployed tags that never reaches its count keeps those images from the last rule.
"""

import json
import re
from collections.abc import Sequence

from agentd.platform.registry import DEPLOYED_TAG_PREFIX, LifecyclePolicy, RepositoryAccess

# More images of one repository than environments can use.
_NEVER = 9999
_PULL_ACTIONS = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:DescribeImages",
    "ecr:GetDownloadUrlForLayer",
)
_PUSH_ACTIONS = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:CompleteLayerUpload",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
)
_ACCOUNT_ROOT = re.compile(r"arn:[^:]+:iam::(\d{12}):root")

Json = object


def lifecycle_text(policy: LifecyclePolicy) -> str:
    """The lifecycle policy as ECR takes it, in one canonical spelling."""
    untagged = _rule(
        1,
        "untagged images expire",
        {
            "tagStatus": "untagged",
            "countType": "sinceImagePushed",
            "countUnit": "days",
            "countNumber": policy.untagged_days,
        },
    )
    deployed = _rule(
        2,
        "images that a deployment uses stay",
        {
            "tagStatus": "tagged",
            "tagPrefixList": [DEPLOYED_TAG_PREFIX],
            "countType": "imageCountMoreThan",
            "countNumber": _NEVER,
        },
    )
    others = _rule(
        3,
        "of the others the newest stay",
        {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": policy.keep_images},
    )
    return _canonical({"rules": [untagged, deployed, others]})


def access_text(access: RepositoryAccess) -> str | None:
    """The repository policy as ECR takes it, in one canonical spelling; None without principals."""
    statements = [
        _statement(sid, principals, actions)
        for sid, principals, actions in (
            ("ConveyorPull", access.pull, _PULL_ACTIONS),
            ("ConveyorPush", access.push, _PUSH_ACTIONS),
        )
        if principals
    ]
    return _canonical({"Version": "2012-10-17", "Statement": statements}) if statements else None


def same_policy(left: str | None, right: str | None) -> bool:
    """Whether two policy texts mean the same, whatever the order of keys and sets, and the spelling of accounts."""
    if left is None or right is None:
        return left is right
    try:
        return _normal(json.loads(left)) == _normal(json.loads(right))
    except ValueError:  # somebody's text that is no JSON
        return False


def _rule(priority: int, description: str, selection: dict[str, Json]) -> dict[str, Json]:
    return {
        "rulePriority": priority,
        "description": description,
        "selection": selection,
        "action": {"type": "expire"},
    }


def _statement(sid: str, principals: Sequence[str], actions: Sequence[str]) -> dict[str, Json]:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"AWS": sorted(set(principals))},
        "Action": list(actions),
    }


def _canonical(value: Json) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _normal(value: Json) -> Json:
    """Lists are sets in both documents, a list of one may be spelt as its item, an account as the ARN of its root."""
    if isinstance(value, dict):
        return {key: _normal(item) for key, item in value.items()}
    if isinstance(value, list):
        items = [_normal(item) for item in value]
        return items[0] if len(items) == 1 else sorted(items, key=_canonical)
    if isinstance(value, str) and (account := _ACCOUNT_ROOT.fullmatch(value)):
        return account[1]
    return value
