"""States on their way out: no outbox, as whoever watches has the newest one at hand until the queue has taken it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentd.core import Reason, Runtime, TransientError
from agentd.events.reports import STATES
from agentd.reports.outbound import Message, Outbound
from agentd.reports.render import Identity, state_message
from agentd.telemetry import Metrics

Json = Any  # the content of a state, which its own class checks

_SEND_S = 15.0  # above the time-outs of the calls that one batch takes


@dataclass(frozen=True, slots=True)
class Told:
    """One state, as it goes out; without content its subject is gone."""

    kind: str
    subject: str
    sequence: int
    content: Mapping[str, Json] | None


class States:
    """Sends states to the control plane. `again_within_s` is what each of them promises."""

    def __init__(
        self,
        *,
        identity: Identity,
        outbound: Outbound,
        runtime: Runtime,
        metrics: Metrics,
        batch: int,
        again_within_s: float,
    ) -> None:
        self._identity = identity
        self._outbound = outbound
        self._runtime = runtime
        self._metrics = metrics
        self._batch = batch
        self._again_within_s = again_within_s

    async def send(self, states: Sequence[Told]) -> Sequence[str | None]:
        """Per state None, or why the queue has not taken it. Raises AgentError when nothing could be sent of a batch."""
        answers: list[str | None] = []
        for start in range(0, len(states), self._batch):
            answers += await self._send([self._message(state) for state in states[start : start + self._batch]])
        self._metrics.reports_sent.labels("state").inc(answers.count(None))
        return answers

    def _message(self, state: Told) -> Message:
        report_type, data = STATES[state.kind]
        report = data.model_validate(
            {
                "subject": state.subject,
                "sequence": state.sequence,
                "gone": state.content is None,
                "again_within_s": self._again_within_s,
                "tenant_id": self._identity.audience.tenant_id,
                "cluster_id": self._identity.audience.cluster_id,
                "agent_version": self._identity.version,
                "state": state.content,
            }
        )
        return state_message(
            self._identity, report_type, report, new_id=self._runtime.new_id(), now=self._runtime.now()
        )

    async def _send(self, messages: Sequence[Message]) -> Sequence[str | None]:
        try:
            async with asyncio.timeout(_SEND_S):
                return await self._outbound.send(messages)
        except TimeoutError as error:
            raise TransientError(Reason.UNAVAILABLE, f"the reports queue took over {_SEND_S:g} s") from error
