"""Every pod runs as a service account that is there, and gets its token."""

from agentd.embedded.kube.admission.request import Request, refused
from agentd.embedded.kube.kinds import SERVICE_ACCOUNTS
from agentd.embedded.kube.objects import Object, clone, name_of, namespace_of
from agentd.embedded.kube.world import World

_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_PREFIX = "kube-api-access-"
_TOKEN_S = 3607
_SOURCES = (
    {"serviceAccountToken": {"expirationSeconds": _TOKEN_S, "path": "token"}},
    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    {
        "downwardAPI": {
            "items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]
        }
    },
)


def add_account(world: World, request: Request, pod: Object) -> None:
    """Name the account, and mount its token. ApiError 403 when the account is not there."""
    spec, namespace = pod["spec"], namespace_of(pod)
    name = spec.get("serviceAccountName") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    account = world.store.get(SERVICE_ACCOUNTS, namespace, name)
    if account is None:
        why = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        raise refused(request, name_of(pod), why)
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = clone(account["imagePullSecrets"])
    wanted = spec.get("automountServiceAccountToken")
    if wanted is None:
        wanted = account.get("automountServiceAccountToken", True)
    if wanted:
        _mount_token(world, spec)


def _mount_token(world: World, spec: Object) -> None:
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    without = [
        container
        for container in containers
        if not any(mount.get("mountPath") == _MOUNT for mount in container.get("volumeMounts") or ())
    ]
    if not without:
        return
    volume = _PREFIX + world.suffix()
    for container in without:
        container.setdefault("volumeMounts", []).append({"name": volume, "readOnly": True, "mountPath": _MOUNT})
    token = {"name": volume, "projected": {"sources": clone(list(_SOURCES)), "defaultMode": 0o644}}
    spec.setdefault("volumes", []).append(token)
