"""One attempt at an event: run its handler under a deadline, and say how it went. Never raises but for cancellation."""

from dataclasses import dataclass

from agentd.core import (
    AgentError,
    Deadline,
    Handler,
    LeaseLost,
    NotReady,
    PermanentError,
    Preempted,
    Reason,
    TransientError,
    lean,
)
from agentd.dispatch.context import RunContext
from agentd.dispatch.deps import Deps
from agentd.dispatch.leases import Lease
from agentd.events import EventData
from agentd.telemetry import get_logger

log = get_logger("dispatch")


@lean(frozen=True, slots=True)
class Done:
    """The world is as the event asks."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A fault. `final`: no further attempt can help."""

    reason: Reason
    message: str
    step: str | None
    final: bool
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class PutOff:
    """Nobody is to blame: something else comes first."""

    reason: Reason
    message: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """The lease is gone, or useless: write nothing more."""

    message: str


AttemptResult = Done | Failed | PutOff | Lost


async def run_attempt(
    deps: Deps, handler: Handler, context: RunContext, data: EventData, lease: Lease
) -> AttemptResult:
    """Run the handler once. Losing the lease cuts it short."""
    try:
        with Deadline(handler.timeout_s) as deadline:
            lease.work = deadline
            lease.check()
            await handler.run(context, data)
        lease.check()
    except TimeoutError as error:
        return _cut_short(error, handler, context, lease, deadline_passed=deadline.ended)
    except Exception as error:
        return result_of(error, context.current_step)
    return Done()


def result_of(error: Exception, step: str | None) -> AttemptResult:
    """What an error that a handler raises comes to. What is unexpected is logged."""
    deciding = _deciding(error)
    if isinstance(deciding, AgentError):
        return _classify(deciding, step)
    # A defect, or an SDK's own exception that an adapter let through: it may pass, so it is worth the attempts left.
    log.error("attempt.unexpected_error", step=step, exc_info=error)
    return Failed(Reason.INTERNAL_ERROR, f"{type(deciding).__name__}: {deciding}", step, final=False)


def _deciding(error: Exception) -> Exception:
    """Of the errors that a handler's task group brings the one that counts: a lost lease, then a final one, then the first."""
    if not isinstance(error, ExceptionGroup):
        return error
    leaves = [_deciding(inner) for inner in error.exceptions]
    first = [next((leaf for leaf in leaves if isinstance(leaf, kind)), None) for kind in (LeaseLost, PermanentError)]
    return next((leaf for leaf in first if leaf is not None), leaves[0])


def _cut_short(
    error: TimeoutError, handler: Handler, context: RunContext, lease: Lease, *, deadline_passed: bool
) -> AttemptResult:
    if lease.lost:
        return Lost("the lease was lost in the middle of the attempt")
    if deadline_passed:
        message = f"not finished within {handler.timeout_s:g} s"
        return Failed(Reason.TIMED_OUT, message, context.current_step, final=False)
    return Failed(Reason.UNAVAILABLE, f"a call timed out: {error}", context.current_step, final=False)


def _classify(error: AgentError, step: str | None) -> AttemptResult:
    match error:
        case LeaseLost():
            return Lost(error.message)
        case Preempted():
            return PutOff(error.reason, error.message)
        case NotReady(retry_after=retry_after):
            return PutOff(error.reason, error.message, retry_after)
        case PermanentError():
            return Failed(error.reason, error.message, step, final=True)
        case TransientError(retry_after=retry_after):
            return Failed(error.reason, error.message, step, final=False, retry_after=retry_after)
        case _:
            return Failed(error.reason, error.message, step, final=False)
