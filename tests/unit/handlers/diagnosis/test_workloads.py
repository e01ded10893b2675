"""Why the pods of a workload do not come to be, and why a Job is over."""

import pytest

from agentd.core import Reason
from handlers.environments.diagnosis import Sight, troubles
from tests.unit.handlers.diagnosis.seen import claim, ended, event, pod, waiting, workload

REFUSALS = [
    ('pods "x" is forbidden: exceeded quota: conveyor, requested: limits.memory=1Gi', Reason.QUOTA_EXCEEDED, True),
    ('pods "x" is forbidden: violates PodSecurity "restricted:latest": seccompProfile', Reason.POD_REFUSED, False),
    ('pods "x" is forbidden: error looking up service account dev/airflow: not found', Reason.POD_REFUSED, False),
    ('Internal error occurred: failed calling webhook "w": connection refused', Reason.POD_REFUSED, True),
    ('admission webhook "w" denied the request: no', Reason.POD_REFUSED, False),
]


@pytest.mark.parametrize(("said", "reason", "passing"), REFUSALS)
def test_a_deployment_says_itself_what_its_pods_are_refused_for(said: str, reason: Reason, passing: bool) -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": said}
    (found,) = troubles(Sight(workloads=[workload("Deployment", conditions=[failure])]))
    assert (found.reason, found.passing) == (reason, passing)
    assert said in found.message


@pytest.mark.parametrize("kind", ["StatefulSet", "Job"])
@pytest.mark.parametrize(("said", "reason", "passing"), REFUSALS)
def test_others_have_it_in_an_event(kind: str, said: str, reason: Reason, passing: bool) -> None:
    seen = workload(kind)
    (found,) = troubles(Sight(workloads=[seen], events=[event(seen, "FailedCreate", said)]))
    assert (found.reason, found.passing) == (reason, passing)


@pytest.mark.parametrize("seen", [workload("StatefulSet", replicas=1), workload("Job", active=1)])
def test_a_refusal_that_is_over_is_not_told_any_more(seen: dict[str, object]) -> None:
    status = {"replicas": 1, "active": 1}
    seen = {**seen, "status": status}
    assert troubles(Sight(workloads=[seen], events=[event(seen, "FailedCreate", "exceeded quota")])) == []


def failed_job(reason: str = "BackoffLimitExceeded") -> dict[str, object]:
    condition = {"type": "Failed", "status": "True", "reason": reason, "message": "Job has reached its limit"}
    return workload("Job", failed=1, conditions=[condition])


def test_the_pod_of_a_job_may_be_followed_by_a_better_one_until_the_job_is_given_up() -> None:
    container = {"name": "migrate", "restartCount": 0, "state": ended(1, message="no such host: db")}
    seen = pod(owner=("Job", "uid-Job"), phase="Failed", containerStatuses=[container])
    (found,) = troubles(Sight(pods=[seen], workloads=[workload("Job", failed=1)]))
    assert (found.reason, found.passing) == (Reason.CONTAINER_FAILED, True)
    first, second = troubles(Sight(pods=[seen], workloads=[failed_job()]))
    assert (first.passing, "no such host: db" in first.message) == (False, True)
    assert "it has failed: Job has reached its limit" in second.message


def test_a_job_that_took_too_long() -> None:
    (found,) = troubles(Sight(workloads=[failed_job("DeadlineExceeded")]))
    assert (found.reason, found.passing) == (Reason.NOT_UP_IN_TIME, False)


@pytest.mark.parametrize(
    ("said", "passing"),
    [('storageclass.storage.k8s.io "fast" not found', False), ("rpc error: code = ResourceExhausted", True)],
)
def test_a_claim_that_gets_no_volume(said: str, passing: bool) -> None:
    seen = claim()
    (found,) = troubles(Sight(claims=[seen], events=[event(seen, "ProvisioningFailed", said)]))
    assert (found.reason, found.passing) == (Reason.VOLUME_UNAVAILABLE, passing)
    bound = claim("Bound")
    assert troubles(Sight(claims=[bound], events=[event(bound, "ProvisioningFailed", said)])) == []


def test_a_healthy_namespace_has_no_troubles() -> None:
    running = pod(phase="Running", containerStatuses=[{"name": "main", "restartCount": 0, "state": {"running": {}}}])
    assert (
        troubles(Sight(pods=[running, pod(**waiting("ContainerCreating"))], workloads=[workload("Deployment")])) == []
    )
