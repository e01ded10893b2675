"""What the agent's identity may do, asked of the server itself."""

from agentd.core import Permission
from agentd.platform.kubernetes.calls import Calls, Request

_API = "authorization.k8s.io/v1"


async def review(calls: Calls, permission: Permission, namespace: str | None) -> str | None:
    """See ClusterReader.allowed."""
    resource, _, subresource = permission.resource.partition("/")
    plural, _, group = resource.partition(".")
    attributes = {"verb": permission.action, "group": group, "resource": plural, "subresource": subresource}
    if namespace is not None:
        attributes["namespace"] = namespace
    answer = await calls.read(
        Request(
            operation="review",
            obj=f"kubernetes:{permission.resource}",
            method="POST",
            path=f"/apis/{_API}/selfsubjectaccessreviews",
            body={
                "apiVersion": _API,
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": attributes},
            },
        )
    )
    status = answer["status"]
    if status.get("allowed"):
        return None
    where = f"in namespace {namespace}" if namespace is not None else "in the whole cluster"
    why = status.get("reason") or status.get("evaluationError")
    return f"the agent's identity may not {permission.action} {permission.resource} {where}" + (
        f": {why}" if why else ""
    )
