"""What the parts of one consumer share."""

from dataclasses import dataclass, field

from agentd.bus.config import BusConfig
from agentd.bus.protocol import Queue
from agentd.bus.table import DeliveryTable
from agentd.core import Runtime
from agentd.telemetry import Health, Metrics, Pulse


@dataclass(frozen=True, slots=True)
class Deps:
    """One consumer's queues, table and surroundings. Both queues are open."""

    queue: Queue
    dead_letters: Queue
    table: DeliveryTable
    runtime: Runtime
    metrics: Metrics
    health: Health
    config: BusConfig
    _pulses: list[Pulse] = field(default_factory=list)

    def pulse(self, loop: str) -> Pulse:
        """The pulse of a loop that lasts as long as the consumer."""
        pulse = self.health.pulse(f"{self.queue.name}-{loop}")
        self._pulses.append(pulse)
        return pulse

    def stopped(self) -> None:
        """All those loops have ended."""
        for pulse in self._pulses:
            self.health.stopped(pulse)
