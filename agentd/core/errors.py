"""Errors, named for what the dispatcher does with them.

Adapters translate SDK errors at their own edge; a handler raises or returns and never acknowledges anything. An
exception outside this hierarchy is transient until the attempts are used up.
"""

from agentd.core.reasons import Reason


class AgentError(Exception):
    """The base: a reason from the closed set and a message that names the operation and the object."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class TransientError(AgentError):
    """It may work next time. `retry_after` in seconds, when the provider says so."""

    def __init__(self, reason: Reason, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(reason, message)
        self.retry_after = retry_after


class PermanentError(AgentError):
    """It will not work next time either: the event fails now."""


class PolicyRefused(PermanentError):
    """The customer's policy forbids it; `rule` is the rule's name."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(Reason.POLICY_REFUSED, message)
        self.rule = rule


class NotReady(AgentError):
    """Something else must come first; nobody is to blame. `retry_after` in seconds is a guess of when to look again."""

    def __init__(self, condition: str, *, retry_after: float | None = None, reason: Reason = Reason.WAITING) -> None:
        super().__init__(reason, condition)
        self.retry_after = retry_after


class LeaseLost(AgentError):
    """The subject, or the message, belongs to somebody else by now: stop at once and write nothing more."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.LEASE_LOST, message)


class Preempted(AgentError):
    """A newer delete of the subject waits: stop at this step boundary and let it go first."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.PREEMPTED, message)
