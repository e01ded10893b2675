"""Jobs: pods until enough of them have succeeded, or too many have failed."""

from datetime import datetime

from agentd.embedded.kube.controllers.controller import Controller, Hands, Key
from agentd.embedded.kube.controllers.events import record
from agentd.embedded.kube.controllers.owned import create_pod, from_template, is_active, is_ready, keys_of, owned_by
from agentd.embedded.kube.kinds import JOBS, PODS
from agentd.embedded.kube.objects import Object, child, controller_of, dig, is_terminating, name_of
from agentd.embedded.kube.status import ApiError
from agentd.embedded.kube.writes import DeleteOptions

_TRACKING = "batch.kubernetes.io/job-tracking"
_INDEX = "batch.kubernetes.io/job-completion-index"
_AGAIN_S = 1.0
_COMPONENT = "job-controller"


def _reconcile(hands: Hands, key: Key) -> float | None:
    job = hands.get(JOBS, *key)
    if job is None or is_terminating(job):
        _let_go(hands, key)
        return None
    status: Object = dict(job.get("status") or {})
    if _outcome(status):
        return _after_end(hands, job, status)
    suspended = bool(job["spec"].get("suspend"))
    if not suspended:
        status.setdefault("startTime", hands.world.now())
    _count_ended(hands, job, status)
    again_s = _judge(hands, job, status)
    if not _outcome(status):
        refused = _run(hands, job, status, wanted=0 if suspended else job["spec"].get("parallelism", 1))
        again_s = _AGAIN_S if refused else again_s
    active = [pod for pod in owned_by(hands.world, job, PODS) if is_active(pod)]
    for name, number in (("active", len(active)), ("ready", sum(1 for pod in active if is_ready(pod)))):
        status[name] = number
    status.setdefault("terminating", 0)
    status.setdefault("uncountedTerminatedPods", {})
    if not status["active"]:
        del status["active"]
    hands.set_status(JOBS, job, status)
    return again_s


def _outcome(status: Object) -> str | None:
    """Complete or Failed, once it is so."""
    ended = ("Complete", "Failed")
    return next((one["type"] for one in status.get("conditions") or () if one["type"] in ended), None)


def _count_ended(hands: Hands, job: Object, status: Object) -> None:
    """Pods carry a finalizer until they are counted, so that none is lost."""
    for pod in list(owned_by(hands.world, job, PODS)):
        phase = dig(pod, "status", "phase")
        ended = phase in ("Succeeded", "Failed") or is_terminating(pod)
        if not ended or _TRACKING not in (pod["metadata"].get("finalizers") or ()):
            continue
        name = "succeeded" if phase == "Succeeded" else "failed"
        status[name] = status.get(name, 0) + 1
        _release(hands, pod)


def _let_go(hands: Hands, key: Key) -> None:
    """Pods of a Job that is on its way, or has gone before they could be counted, are counted by nobody any more."""
    namespace, name = key
    for pod in list(hands.world.store.all(PODS, namespace)):
        controller = controller_of(pod)
        is_its_own = controller is not None and (controller["kind"], controller["name"]) == ("Job", name)
        if is_its_own and _TRACKING in (pod["metadata"].get("finalizers") or ()):
            _release(hands, pod)


def _release(hands: Hands, pod: Object) -> None:
    def change(new: Object) -> None:
        kept = [one for one in new["metadata"]["finalizers"] if one != _TRACKING]
        if kept:
            new["metadata"]["finalizers"] = kept
        else:
            del new["metadata"]["finalizers"]

    hands.change(PODS, pod, change)


def _judge(hands: Hands, job: Object, status: Object) -> float | None:
    """Whether it has ended by now; returns when to look again because of its deadline."""
    spec = job["spec"]
    completions = spec.get("completions") or 1
    if status.get("succeeded", 0) >= completions:
        reached = "Reached expected number of succeeded pods"
        _end(hands, job, status, ("SuccessCriteriaMet", "Complete"), ("CompletionsReached", reached))
        status["completionTime"] = hands.world.now()
        record(hands, job, "Completed", "Job completed", component=_COMPONENT)
    elif status.get("failed", 0) > spec.get("backoffLimit", 6):
        _fail(hands, job, status, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    elif spec.get("activeDeadlineSeconds") and "startTime" in status:
        left: float = _seconds(status["startTime"]) + spec["activeDeadlineSeconds"] - hands.world.runtime.now()
        if left > 0:
            return left
        _fail(hands, job, status, "DeadlineExceeded", "Job was active longer than specified deadline")
    return None


def _fail(hands: Hands, job: Object, status: Object, reason: str, message: str) -> None:
    _end(hands, job, status, ("FailureTarget", "Failed"), (reason, message))
    record(hands, job, reason, message, component=_COMPONENT, warning=True)


def _end(hands: Hands, job: Object, status: Object, kinds: tuple[str, str], why: tuple[str, str]) -> None:
    now, (reason, message) = hands.world.now(), why
    times = {"lastProbeTime": now, "lastTransitionTime": now}
    told = {"status": "True", **times, "reason": reason, "message": message}
    status["conditions"] = [*(status.get("conditions") or ()), *({"type": kind, **told} for kind in kinds)]
    for pod in list(owned_by(hands.world, job, PODS)):
        if is_active(pod):
            hands.delete(PODS, pod)
            _count_ended(hands, job, status)


def _run(hands: Hands, job: Object, status: Object, *, wanted: int) -> bool:
    """Keep as many pods running as are wanted and needed. True when one was refused."""
    active = [pod for pod in owned_by(hands.world, job, PODS) if is_active(pod)]
    missing = (job["spec"].get("completions") or 1) - status.get("succeeded", 0)
    wanted = min(wanted, max(0, missing))
    for pod in active[wanted:]:
        hands.delete(PODS, pod)
    for _ in range(wanted - len(active)):
        pod = from_template(job, job["spec"]["template"], generateName=f"{name_of(job)}-", finalizers=[_TRACKING])
        if job["spec"].get("completionMode") == "Indexed":
            _give_index(hands, job, pod)
        try:
            create_pod(hands, job, pod)
        except ApiError as error:
            told = f"Error creating: {error.message}"
            record(hands, job, "FailedCreate", told, component=_COMPONENT, warning=True)
            return True
    return False


def _give_index(hands: Hands, job: Object, pod: Object) -> None:
    taken = {
        child(one, "metadata", "annotations").get(_INDEX)
        for one in owned_by(hands.world, job, PODS)
        if is_active(one) or dig(one, "status", "phase") == "Succeeded"
    }
    index = next(str(number) for number in range(len(taken) + 1) if str(number) not in taken)
    meta = pod["metadata"]
    meta["annotations"] = {**(meta.get("annotations") or {}), _INDEX: index}
    meta["labels"] = {**(meta.get("labels") or {}), _INDEX: index}


def _after_end(hands: Hands, job: Object, status: Object) -> float | None:
    """A job that has ended is deleted when its time is over, if it has one."""
    keep_s = job["spec"].get("ttlSecondsAfterFinished")
    if keep_s is None:
        return None
    ended = max(_seconds(one["lastTransitionTime"]) for one in status["conditions"])
    left: float = ended + keep_s - hands.world.runtime.now()
    if left > 0:
        return left
    hands.delete(JOBS, job, DeleteOptions(propagation="Foreground"))
    return None


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


JOB_CONTROLLER = Controller("job", keys_of(JOBS, "Job", PODS), _reconcile)
