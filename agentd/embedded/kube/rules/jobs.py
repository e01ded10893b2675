"""Rules of jobs and cron jobs."""

from collections.abc import Iterator

from agentd.embedded.kube.objects import Object, ObjectView, child, dig, metadata
from agentd.embedded.kube.rules.common import check_enum, check_immutable, check_not_negative
from agentd.embedded.kube.rules.rules import Rules
from agentd.embedded.kube.rules.workloads import check_template
from agentd.embedded.kube.status import Cause, required, unsupported, wrong
from agentd.embedded.kube.world import World

_COUNTS = ("parallelism", "completions", "backoffLimit", "ttlSecondsAfterFinished", "activeDeadlineSeconds")
_ENDING = ("OnFailure", "Never")
_CRON_FIELDS = 5
_UID_LABEL = "batch.kubernetes.io/controller-uid"


def _prepare_create(_world: World, job: Object) -> None:
    """A job selects its pods by its own uid, unless it says how."""
    spec, meta = job["spec"], job["metadata"]
    if spec.get("manualSelector"):
        return
    name = meta.get("name", "")
    labels = {
        "controller-uid": meta["uid"],
        "job-name": name,
        _UID_LABEL: meta["uid"],
        "batch.kubernetes.io/job-name": name,
    }
    template = metadata(spec.setdefault("template", {}))
    template["labels"] = {**(template.get("labels") or {}), **labels}
    if not meta.get("labels"):
        meta["labels"] = dict(template["labels"])
    spec["selector"] = {"matchLabels": {_UID_LABEL: meta["uid"]}}


def _check_job_spec(spec: ObjectView, path: str) -> Iterator[Cause]:
    yield from check_not_negative(spec, _COUNTS, path)
    yield from check_template(child(spec, "template"), f"{path}.template")
    policy = dig(spec, "template", "spec", "restartPolicy")
    if policy is not None and policy not in _ENDING:
        if policy == "Always":
            yield required(f"{path}.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')
        else:
            yield unsupported(f"{path}.template.spec.restartPolicy", policy, _ENDING)


def _check_job(job: Object) -> Iterator[Cause]:
    return _check_job_spec(child(job, "spec"), "spec")


def _check_job_kept(new: Object, live: Object) -> Iterator[Cause]:
    for name in ("selector", "completionMode"):
        yield from check_immutable(new, live, "spec", name)
    if not dig(live, "spec", "suspend"):
        yield from check_immutable(new, live, "spec", "template")
    if dig(live, "spec", "completionMode") != "Indexed":
        yield from check_immutable(new, live, "spec", "completions")


def _check_cron_job(item: Object) -> Iterator[Cause]:
    spec = child(item, "spec")
    schedule = spec.get("schedule")
    if not schedule:
        yield required("spec.schedule")
    elif not schedule.startswith("@") and len(schedule.split()) != _CRON_FIELDS:
        fields = schedule.split()
        told = f"expected exactly {_CRON_FIELDS} fields, found {len(fields)}: [{' '.join(fields)}]"
        yield wrong("spec.schedule", schedule, told)
    yield from check_enum(spec.get("concurrencyPolicy"), ("Allow", "Forbid", "Replace"), "spec.concurrencyPolicy")
    yield from _check_job_spec(child(spec, "jobTemplate", "spec"), "spec.jobTemplate.spec")


JOB_RULES = Rules(prepare_create=_prepare_create, validate=_check_job, validate_update=_check_job_kept)
CRON_JOB_RULES = Rules(validate=_check_cron_job)
