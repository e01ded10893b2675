"""Runs the controllers: one change after the other, in the order in which they came."""

import asyncio
import logging
from collections.abc import Sequence
from http import HTTPStatus

from agentd.embedded.kube.bootstrap import bootstrap
from agentd.embedded.kube.controllers.claims import CLAIM_PROTECTION
from agentd.embedded.kube.controllers.controller import Controller, Hands, Key
from agentd.embedded.kube.controllers.daemonsets import DAEMON_SET_CONTROLLER
from agentd.embedded.kube.controllers.deployments import DEPLOYMENT_CONTROLLER
from agentd.embedded.kube.controllers.garbage import GarbageCollector
from agentd.embedded.kube.controllers.jobs import JOB_CONTROLLER
from agentd.embedded.kube.controllers.namespaces import NAMESPACE_CONTENTS, NAMESPACE_LIFECYCLE
from agentd.embedded.kube.controllers.quotas import QUOTA_CONTROLLER
from agentd.embedded.kube.controllers.replicasets import REPLICA_SET_CONTROLLER
from agentd.embedded.kube.controllers.statefulsets import STATEFUL_SET_CONTROLLER
from agentd.embedded.kube.custom.controller import DEFINITION_CONTROLLER
from agentd.embedded.kube.kubelet import Kubelet
from agentd.embedded.kube.status import ApiError
from agentd.embedded.kube.store import Change
from agentd.embedded.kube.world import World

_AGAIN_S = 1.0
_EXPECTED = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
_LOG = logging.getLogger(__name__)


class Controllers:
    """Follows every change from its construction on; acts while `run` runs."""

    def __init__(self, world: World, controllers: Sequence[Controller]) -> None:
        self._world = world
        self._controllers = controllers
        self._due: dict[tuple[int, Key], None] = {}
        self._woken = asyncio.Event()
        world.store.listen(self._note)

    async def run(self) -> None:
        """Act, for ever. An exception of a controller is a bug, and ends it."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._due:
                number, key = next(iter(self._due))
                del self._due[number, key]
                again_s = self._act(number, key)
                if again_s is not None:
                    asyncio.get_running_loop().call_later(again_s, self._add, number, key)
                await asyncio.sleep(0)  # requests come first

    def _act(self, number: int, key: Key) -> float | None:
        controller = self._controllers[number]
        try:
            return controller.reconcile(Hands(self._world, controller.manager), key)
        except ApiError as error:  # an answer like any other: a namespace is going, a quota is used up
            if error.code not in _EXPECTED:
                _LOG.warning("%s %s: %s", controller.name, "/".join(key), error.message)
            return _AGAIN_S

    def _note(self, change: Change) -> None:
        for number, controller in enumerate(self._controllers):
            for key in controller.keys(self._world, change):
                self._add(number, key)

    def _add(self, number: int, key: Key) -> None:
        self._due[number, key] = None
        self._woken.set()


def start(world: World) -> Controllers:
    """The controllers of a cluster, over a world with nothing in it yet; its node is registered. They act once they run."""
    kubelet = Kubelet()
    controllers = Controllers(
        world,
        (
            NAMESPACE_CONTENTS,
            NAMESPACE_LIFECYCLE,
            GarbageCollector().controller(),
            DEPLOYMENT_CONTROLLER,
            REPLICA_SET_CONTROLLER,
            STATEFUL_SET_CONTROLLER,
            DAEMON_SET_CONTROLLER,
            JOB_CONTROLLER,
            QUOTA_CONTROLLER,
            CLAIM_PROTECTION,
            DEFINITION_CONTROLLER,
            kubelet.controller(),
        ),
    )
    bootstrap(world)
    kubelet.register(Hands(world, manager="kubelet"))
    return controllers
