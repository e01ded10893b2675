"""Rules of namespaces."""

from agentd.embedded.kube.defaulting.policies import name_label
from agentd.embedded.kube.objects import Object, dig
from agentd.embedded.kube.rules.rules import Rules
from agentd.embedded.kube.world import World

FINALIZER = "kubernetes"


def _prepare_create(_world: World, item: Object) -> None:
    name_label(item)  # the name may have been generated since
    finalizers = item.setdefault("spec", {}).setdefault("finalizers", [])
    if FINALIZER not in finalizers:
        finalizers.append(FINALIZER)
    item["status"] = {"phase": "Active"}


def _prepare_update(_world: World, new: Object, live: Object) -> None:
    finalizers = dig(live, "spec", "finalizers")
    new["spec"] = {"finalizers": finalizers} if finalizers else {}


NAMESPACE_RULES = Rules(prepare_create=_prepare_create, prepare_update=_prepare_update)
