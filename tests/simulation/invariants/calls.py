"""I4 while a call to a cloud or to the cluster is under way: nobody waits for it longer than his lease was to last."""

from agentd.dispatch.leases import Lease
from tests.simulation.process import Process
from tests.simulation.scene import Checker, Scene
from tests.simulation.world import Asked

_ROUNDING_S = 0.01


class Patience(Checker):
    """A call is made under a lease, and its time-out is below what remains of that: then its effect is over in time."""

    name = "I4"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._waits: dict[int, tuple[Process, float]] = {}
        scene.world.watch(self._watch)

    def _watch(self, asked: Asked, waits: bool) -> None:
        if waits:
            self._begins(asked)
        elif id(asked) in self._waits:
            self._ends(asked, *self._waits.pop(id(asked)))

    def _begins(self, asked: Asked) -> None:
        for process in self.scene.living():
            lease = self._lease(process, asked)
            if lease is not None:
                self._waits[id(asked)] = (process, lease.remaining_s())
                return

    def _ends(self, asked: Asked, process: Process, left_s: float) -> None:
        waited_s = self.scene.now - asked.at
        if waited_s > left_s + _ROUNDING_S and not process.was_paused_within(waited_s + 1.0):
            about = f"{asked.operation} for {asked.caller.subject}"
            self.violated(
                f"{process.name} has waited for {about} for {waited_s:.2f} s; its lease had {left_s:.2f} s left"
            )

    def _lease(self, process: Process, asked: Asked) -> Lease | None:
        """Under which the call is made."""
        if process.parts is None or f"r{process.slot}" != asked.caller.replica:
            return None
        held = process.parts.dispatcher._leases._held
        return next((lease for lease in held if str(lease.claim.subject) == asked.caller.subject), None)
