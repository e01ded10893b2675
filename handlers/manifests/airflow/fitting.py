"""Whether an environment's quotas leave room for its own Airflow: pods that do not fit would be refused one by one, unseen."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from agentd.events.environments import Quotas
from agentd.platform import Manifest
from handlers.manifests.airflow.pods import Part
from handlers.manifests.quantities import value


def shortfalls(quotas: Quotas, found: Sequence[Manifest]) -> list[str]:
    """What the quotas are too small for, with all these objects awake; empty when everything fits."""
    asked = [
        ("cpu", quotas.cpu, _compute(found, "cpu")),
        ("memory", quotas.memory, _compute(found, "memory")),
        ("storage", quotas.storage, _storage(found)),
        ("pods", str(quotas.pods), Decimal(sum(count for count, _ in _pods(found)))),
    ]
    return [
        f"quotas.{name} is {quota}, and Airflow asks for {_text(needed)} by itself"
        for name, quota, needed in asked
        if needed > value(quota)
    ]


def _compute(found: Sequence[Manifest], resource: str) -> Decimal:
    return sum((count * _pod(pod, resource) for count, pod in _pods(found)), Decimal(0))


def _pod(pod: Part, resource: str) -> Decimal:
    """What a pod counts for: its containers together, or the largest of those that run before them."""
    before = [_container(container, resource) for container in pod.get("initContainers", ())]
    together = sum((_container(container, resource) for container in pod["containers"]), Decimal(0))
    return max([together, *before])


def _container(container: Part, resource: str) -> Decimal:
    return value(container["resources"]["requests"][resource])


def _pods(found: Sequence[Manifest]) -> Iterator[tuple[int, Part]]:
    """Each pod that is described, and how many there are of it."""
    for manifest in found:
        spec = manifest.get("spec", {})
        if "template" in spec:
            yield spec.get("replicas", 1), spec["template"]["spec"]


def _storage(found: Sequence[Manifest]) -> Decimal:
    claims = [manifest["spec"] for manifest in found if manifest["kind"] == "PersistentVolumeClaim"]
    return sum((value(claim["resources"]["requests"]["storage"]) for claim in claims), Decimal(0))


def _text(amount: Decimal) -> str:
    """As people write it: in Mi from there on."""
    mebi = Decimal(2**20)
    return f"{(amount / mebi).normalize():f}Mi" if amount >= mebi else f"{amount.normalize():f}"
