"""What the texts mean that kubelets, container runtimes, the scheduler and the API server say. They have no codes.

Sources: containerd and CRI-O (errors of pulls), kube-scheduler (`FailedScheduling`), the admission plugins of the API server.
"""

from dataclasses import dataclass

from agentd.core import Reason


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a text means that has any of these words in it."""

    words: tuple[str, ...]
    reason: Reason
    passing: bool

    def fits(self, text: str) -> bool:
        """Whether it is this."""
        return any(word in text for word in self.words)


# In order: a registry that hides what one may not see says both "denied" and "does not exist".
_PULLS = (
    _Meaning(("no match for platform", "exec format", "invalid reference"), Reason.IMAGE_UNUSABLE, passing=False),
    _Meaning(("429", "toomanyrequests", "too many requests"), Reason.IMAGE_UNREACHABLE, passing=True),
    _Meaning(
        ("denied", "unauthorized", "forbidden", "no basic auth", "authorization failed", "authentication required"),
        Reason.IMAGE_DENIED,
        passing=False,
    ),
    _Meaning(
        ("no such host", "timeout", "timed out", "deadline exceeded", "connection re", "unreachable", "x509", "tls:"),
        Reason.IMAGE_UNREACHABLE,
        passing=True,
    ),
    _Meaning(("not found", "manifest unknown", "name unknown", "does not exist"), Reason.IMAGE_MISSING, passing=False),
)
_SCHEDULING = (
    _Meaning(
        ("persistentvolumeclaim", "persistent volume", "volume binding", "max volume count"),
        Reason.VOLUME_UNAVAILABLE,
        passing=True,
    ),
    _Meaning(("insufficient ", "too many pods"), Reason.NO_CAPACITY, passing=True),
)
_CREATION = (
    _Meaning(("exceeded quota",), Reason.QUOTA_EXCEEDED, passing=True),
    _Meaning(("failed calling webhook",), Reason.POD_REFUSED, passing=True),
)
_CONFIGURATION = (
    _Meaning(("failed to sync", "timed out"), Reason.CONFIGURATION_MISSING, passing=True),
    _Meaning(("secret", "configmap", "key"), Reason.CONFIGURATION_MISSING, passing=False),
)
_MOUNTS = (_Meaning(("secret", "configmap"), Reason.CONFIGURATION_MISSING, passing=True),)
_PROVISIONING = (_Meaning(("not found",), Reason.VOLUME_UNAVAILABLE, passing=False),)

Judgement = tuple[Reason, bool]
"""Why, and whether it may pass by itself."""


def of_pull(text: str) -> Judgement:
    """Of an image that cannot be pulled."""
    return _judged(text, _PULLS, (Reason.IMAGE_UNREACHABLE, True))


def of_scheduling(text: str) -> Judgement:
    """Of a pod without a node. Always passing: a cluster that grows adds the node that fits, and says nothing of it before."""
    return _judged(text, _SCHEDULING, (Reason.NO_FITTING_NODE, True))


def of_creation(text: str) -> Judgement:
    """Of a pod that the API server does not take."""
    return _judged(text, _CREATION, (Reason.POD_REFUSED, False))


def of_configuration(text: str) -> Judgement:
    """Of a container whose environment cannot be made."""
    return _judged(text, _CONFIGURATION, (Reason.CONTAINER_FAILED, False))


def of_mount(text: str) -> Judgement:
    """Of a volume that cannot be attached or mounted. Always passing: the kubelet goes on trying."""
    return _judged(text, _MOUNTS, (Reason.VOLUME_UNAVAILABLE, True))


def of_provisioning(text: str) -> Judgement:
    """Of a claim that no volume is made for."""
    return _judged(text, _PROVISIONING, (Reason.VOLUME_UNAVAILABLE, True))


def _judged(text: str, meanings: tuple[_Meaning, ...], other: Judgement) -> Judgement:
    lowered = text.lower()
    return next(((one.reason, one.passing) for one in meanings if one.fits(lowered)), other)
