"""ECR's two policy documents. Pure.

Lifecycle rules, as AWS documents them: the lowest rulePriority goes first; an image that matches the tagging
requirements of a rule is never expired by a rule that comes later; at most one rule selects untagged images; a rule for
`any` comes last. So a rule for the deployed tags that never reaches its count keeps those images from the last rule.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from agentd.platform.aws.policies import Json, canonical, normal, same_policy
from agentd.platform.registry import DEPLOYED_TAG_PREFIX, LifecyclePolicy, RepositoryAccess

# More images of one repository than environments can use.
_NEVER = 9999
_PULL = "ConveyorPull"
_PUSH = "ConveyorPush"
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


def read_lifecycle(text: str) -> LifecyclePolicy | str:
    """The policy that has been written so; the text itself when it says anything else."""
    try:
        selections = [rule["selection"] for rule in json.loads(text)["rules"]]
        counts = {selection["tagStatus"]: selection["countNumber"] for selection in selections}
        policy = LifecyclePolicy(untagged_days=counts["untagged"], keep_images=counts["any"])
    except (ValueError, KeyError, TypeError):  # somebody's own
        return text
    return policy if same_policy(text, lifecycle_text(policy)) else text


def access_text(access: RepositoryAccess) -> str | None:
    """The repository policy as ECR takes it, in one canonical spelling; None without principals."""
    statements = [
        _statement(sid, principals, actions)
        for sid, principals, actions in (
            (_PULL, access.pull, _PULL_ACTIONS),
            (_PUSH, access.push, _PUSH_ACTIONS),
        )
        if principals
    ]
    return canonical({"Version": "2012-10-17", "Statement": statements}) if statements else None


def read_access(text: str) -> RepositoryAccess | str:
    """The access that has been written so; the text itself when it says anything else."""
    try:
        statements = _listed(json.loads(text)["Statement"])
        principals = {statement["Sid"]: _listed(statement["Principal"]["AWS"]) for statement in statements}
    except (ValueError, KeyError, TypeError):  # somebody's own
        return text
    access = RepositoryAccess(tuple(principals.get(_PULL, ())), tuple(principals.get(_PUSH, ())))
    return spelled(access) if same_policy(text, access_text(access)) else text


def spelled(access: RepositoryAccess) -> RepositoryAccess:
    """The same principals, each once, in order, and accounts by their numbers."""
    return RepositoryAccess(_spelled(access.pull), _spelled(access.push))


def _spelled(principals: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({str(normal(principal)) for principal in principals}))


def _listed(found: Any) -> list[Any]:  # noqa: ANN401 - AWS spells a list of one as its item
    return found if isinstance(found, list) else [found]


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
