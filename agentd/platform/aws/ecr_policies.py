"""ECR's two policy documents. Pure.

Lifecycle rules, as AWS documents them: the lowest rulePriority goes first; an image that matches the tagging
requirements of a rule is never expired by a rule that comes later; at most one rule selects untagged images; a rule for
`any` comes last. So a rule for the deployed tags that never reaches its count keeps those images from the last rule.
"""

from collections.abc import Sequence

from agentd.platform.aws.policies import Json, canonical
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
    return canonical({"rules": [untagged, deployed, others]})


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
    return canonical({"Version": "2012-10-17", "Statement": statements}) if statements else None


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
