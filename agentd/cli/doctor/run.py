"""Every check side by side, each within its deadline."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from agentd.cli.doctor.findings import Area, Finding, failed, skipped
from agentd.cli.doctor.site import Site
from agentd.core import AgentError, Reason
from agentd.telemetry.redact import redact_text

Look = Callable[[Site], Awaitable[Sequence[Finding]]]


@dataclass(frozen=True, slots=True)
class Check:
    """One look at the site. It finds something under each of `names`, whatever happens, and may find more.

    When the look itself fails, the first name has failed, with `mend`, and the others could not be looked at.
    """

    names: tuple[str, ...]
    look: Look
    mend: str
    for_the_doctor_alone: bool = False
    """Whether the agent does without the right to look; then its refusal is no failure of the installation."""

    @property
    def area(self) -> Area:
        """Where its findings belong."""
        return Area(self.names[0].partition(".")[0])


async def examine(site: Site, checks: Sequence[Check]) -> list[Finding]:
    """What the checks find, in their order, without anything that looks like a secret."""
    async with asyncio.TaskGroup() as group:
        tasks = [site.runtime.spawn(group, _look(check, site), check.names[0]) for check in checks]
    findings = [finding for task in tasks for finding in task.result()]
    return [replace(finding, found=redact_text(finding.found), mend=redact_text(finding.mend)) for finding in findings]


async def _look(check: Check, site: Site) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(site.deadline_s):
            return await check.look(site)
    except TimeoutError:
        return _unseen(check, f"no answer within {site.deadline_s:g} s", check.mend)
    except Exception as error:  # told as a finding: the other checks still have something to say
        return _broken(check, error)


def _broken(check: Check, error: Exception) -> Sequence[Finding]:
    """Errors of a look's own task group count as if they came alone."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, AgentError) and error.reason is Reason.ACCESS_DENIED and check.for_the_doctor_alone:
        return [skipped(name, error.message, check.mend) for name in check.names]
    if isinstance(error, AgentError):
        return _unseen(check, error.message, check.mend)
    detail = f"{type(error).__name__}: {error}"
    return _unseen(check, f"a defect of this check: {detail}", "report it with this line; the other checks hold")


def _unseen(check: Check, why: str, mend: str) -> Sequence[Finding]:
    first, *others = check.names
    rest = [skipped(name, f"not looked at: {first} failed", f"mend {first} first") for name in others]
    return [failed(first, why, mend), *rest]
