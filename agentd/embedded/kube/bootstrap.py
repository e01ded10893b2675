"""What a new cluster has before anybody asks."""

from agentd.embedded.kube.kinds import NAMESPACES
from agentd.embedded.kube.schema import definitions
from agentd.embedded.kube.world import World
from agentd.embedded.kube.writes import Call, create

_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_MANAGER = "kube-apiserver"


def bootstrap(world: World) -> None:
    """Fill an empty world. Reads the schemas, so that no request has to wait for them."""
    definitions()
    kind = world.kinds.stored(*NAMESPACES)
    if kind is None:
        raise LookupError("there are no namespaces")
    for name in _NAMESPACES:
        create(world, Call(kind, manager=_MANAGER), {"metadata": {"name": name}})
