"""What is in the way of the objects in a namespace."""

from collections.abc import Iterable, Iterator, Sequence

from agentd.core import Reason
from agentd.platform import Manifest, ObjectRef
from handlers.environments.diagnosis import messages
from handlers.environments.diagnosis.containers import Finding, findings
from handlers.environments.diagnosis.sight import Sight, Trouble

_LOST = frozenset({"Evicted", "NodeLost", "NodeShutdown", "Terminated", "Preempting"})
_MOUNTS = frozenset({"FailedMount", "FailedAttachVolume", "FailedMapVolume"})


def troubles(sight: Sight) -> list[Trouble]:
    """Everything that is in the way, the most telling first: what stays before what may pass, causes before effects."""
    failed = {str(job["metadata"].get("uid")) for job in sight.workloads if _has_failed(job)}
    found = [
        *(trouble for workload in sight.workloads for trouble in _refused(workload, sight)),
        *(trouble for claim in sight.claims for trouble in _of_claim(claim, sight)),
        *(trouble for pod in sight.pods for trouble in _of_pod(pod, sight, failed)),
        *(trouble for job in sight.workloads for trouble in _of_failed(job)),
    ]
    return sorted(found, key=lambda trouble: trouble.passing)


def hopeless(found: Iterable[Trouble]) -> list[Trouble]:
    """Those that waiting does not help."""
    return [trouble for trouble in found if not trouble.passing]


def _refused(workload: Manifest, sight: Sight) -> Iterator[Trouble]:
    text = _refusal(workload, sight)
    if text is not None:
        reason, passing = messages.of_creation(text)
        yield Trouble(reason, ObjectRef.of(workload), f"its pods are not created: {text}", passing)


def _refusal(workload: Manifest, sight: Sight) -> str | None:
    """What the API server says to the pods of a workload, as long as it says so."""
    failure = _condition(workload, "ReplicaFailure")
    if failure is not None and failure.get("status") == "True":
        return str(failure.get("message"))
    if _has_all_pods(workload):
        return None
    events = [event for event in sight.events_of(workload) if event.get("reason") == "FailedCreate"]
    return str(events[-1].get("message")) if events else None


def _has_all_pods(workload: Manifest) -> bool:
    """Whether nothing remains to be created: what an event said of that before does not hold any more."""
    status, spec = workload.get("status") or {}, workload["spec"]
    if workload["kind"] == "Job":
        return bool(status.get("active") or status.get("succeeded") or status.get("failed"))
    return bool(status.get("replicas", 0) >= spec.get("replicas", 1))


def _has_failed(workload: Manifest) -> bool:
    """Whether it is a Job that has been given up."""
    failed = _condition(workload, "Failed") if workload["kind"] == "Job" else None
    return failed is not None and failed.get("status") == "True"


def _of_failed(job: Manifest) -> Iterator[Trouble]:
    """That it is over. Why, its pods say, as long as they are there."""
    if not _has_failed(job):
        return
    failed = _condition(job, "Failed") or {}
    reason = Reason.NOT_UP_IN_TIME if failed.get("reason") == "DeadlineExceeded" else Reason.CONTAINER_FAILED
    message = f"it has failed: {failed.get('message') or failed.get('reason')}"
    yield Trouble(reason, ObjectRef.of(job), message, passing=False)


def _of_claim(claim: Manifest, sight: Sight) -> Iterator[Trouble]:
    if (claim.get("status") or {}).get("phase") == "Bound":
        return
    events = [event for event in sight.events_of(claim) if event.get("reason") == "ProvisioningFailed"]
    if events:
        text = str(events[-1].get("message"))
        reason, passing = messages.of_provisioning(text)
        yield Trouble(reason, ObjectRef.of(claim), f"no volume is made for it: {text}", passing)


def _of_pod(pod: Manifest, sight: Sight, failed: set[str]) -> Iterator[Trouble]:
    phase = (pod.get("status") or {}).get("phase")
    if pod["metadata"].get("deletionTimestamp") or phase == "Succeeded":
        return
    jobs = {owner["uid"] for owner in pod["metadata"].get("ownerReferences") or () if owner["kind"] == "Job"}
    for found in _findings(pod, sight.events_of(pod)):
        # A Job makes another pod in place of one that has failed, until it is given up itself.
        passing = not jobs & failed if jobs and phase == "Failed" else found.passing
        yield Trouble(found.reason, ObjectRef.of(pod), found.message, passing)


def _findings(pod: Manifest, events: Sequence[Manifest]) -> Iterable[Finding]:
    status = pod.get("status") or {}
    if status.get("reason") in _LOST:
        text = f"{status['reason']}: {status.get('message', 'no message')}"
        return [Finding(Reason.EVICTED, text, passing=True)]
    waits = _condition(pod, "PodScheduled")
    if waits is not None and waits.get("reason") == "Unschedulable":
        text = str(waits.get("message"))
        reason, passing = messages.of_scheduling(text)
        return [Finding(reason, f"no node takes it: {text}", passing)]
    return list(findings(pod, events)) or _slow(pod, events)


def _slow(pod: Manifest, events: Sequence[Manifest]) -> Iterator[Finding]:
    """Of a pod whose containers do not complain: what hinders them before they begin, or a probe."""
    ready = _condition(pod, "Ready")
    told = [event for event in events if event.get("reason") in {*_MOUNTS, "Unhealthy"}]
    if not told or (ready is not None and ready.get("status") == "True"):
        return
    text = str(told[-1].get("message"))
    if told[-1]["reason"] in _MOUNTS:
        reason, passing = messages.of_mount(text)
        yield Finding(reason, f"its volumes are not mounted: {text}", passing)
    else:
        yield Finding(Reason.PROBE_FAILING, text, passing=True)


def _condition(obj: Manifest, kind: str) -> Manifest | None:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one.get("type") == kind), None)
