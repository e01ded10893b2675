"""What the cluster looks like, told to the control plane as it changes: one watcher per kind of state, one replica a kind.

A kind of state is a `View`: which objects it is made of, and a pure function from them to facts about subjects.
"""

from agentd.reconcile.watchers.environments import environments
from agentd.reconcile.watchers.nodes import nodes
from agentd.reconcile.watchers.pods import PodTrouble, pod_failures
from agentd.reconcile.watchers.views import Fact, Seen, Source, View
from agentd.reconcile.watchers.watcher import State, Tools, Watcher

__all__ = [
    "Fact",
    "PodTrouble",
    "Seen",
    "Source",
    "State",
    "Tools",
    "View",
    "Watcher",
    "environments",
    "nodes",
    "pod_failures",
]
