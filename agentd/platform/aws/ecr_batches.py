"""The entries of ECR's batch answers: HTTP 200 is not success, every entry has its own. Pure."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from agentd.core import PermanentError, Reason, TransientError

if TYPE_CHECKING:
    from types_aiobotocore_ecr.type_defs import BatchDeleteImageResponseTypeDef, BatchGetImageResponseTypeDef

GONE = ("ImageNotFound",)


def check_entries(
    operation: str,
    obj: str,
    answer: "BatchDeleteImageResponseTypeDef | BatchGetImageResponseTypeDef",
    *,
    tolerated: Collection[str] = (),
) -> None:
    """Raise PermanentError(in_use) or TransientError for the first entry that failed, unless its code is tolerated."""
    for failure in answer.get("failures", []):
        code = failure.get("failureCode", "Unknown")
        if code in tolerated:
            continue
        message = (
            f"ecr {operation} on {obj}: {code}: {failure.get('failureReason', 'no reason')} "
            f"(request {answer['ResponseMetadata'].get('RequestId')})"
        )
        if code == "ImageReferencedByManifestList":
            raise PermanentError(Reason.IN_USE, message)
        raise TransientError(Reason.UNAVAILABLE, message)
