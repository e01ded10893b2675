"""From a decoded message to its outcome. Decides; the bus carries out."""

from agentd.dispatch.config import DispatchConfig
from agentd.dispatch.deps import Deps, Outlet
from agentd.dispatch.dispatcher import Dispatcher
from agentd.dispatch.drift import Comparer, reconciler
from agentd.dispatch.explain import Answer, Explanation, explain
from agentd.dispatch.history import History, Version, history_of
from agentd.dispatch.planning import Planner, plan_event
from agentd.dispatch.ports import Ports, Prepare, Tools
from agentd.dispatch.registry import BadHandlers, load_handlers

__all__ = [
    "Answer",
    "BadHandlers",
    "Comparer",
    "Deps",
    "DispatchConfig",
    "Dispatcher",
    "Explanation",
    "History",
    "Outlet",
    "Planner",
    "Ports",
    "Prepare",
    "Tools",
    "Version",
    "explain",
    "history_of",
    "load_handlers",
    "plan_event",
    "reconciler",
]
