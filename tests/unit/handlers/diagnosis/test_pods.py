"""Why a pod is not at work: what clusters say, word for word, and what it comes to."""

import pytest

from agentd.core import Reason
from agentd.platform import Manifest
from handlers.environments.diagnosis import Sight, Trouble, hopeless, troubles
from tests.unit.handlers.diagnosis.seen import ended, event, looping, pod, unschedulable, waiting


def only(seen: Manifest, *events: Manifest) -> Trouble:
    """The one trouble of a pod."""
    (found,) = troubles(Sight(pods=[seen], events=events))
    return found


@pytest.mark.parametrize(
    ("said", "reason", "passing"),
    [
        ('failed to resolve reference "registry/x:1": registry/x:1: not found', Reason.IMAGE_MISSING, False),
        ("reading manifest 1 in registry/x: manifest unknown", Reason.IMAGE_MISSING, False),
        ("pull access denied, repository does not exist or may require authorization", Reason.IMAGE_DENIED, False),
        (
            "unexpected status from HEAD request to https://r/v2/x/manifests/1: 403 Forbidden",
            Reason.IMAGE_DENIED,
            False,
        ),
        ("failed to do request: Head: dial tcp: lookup registry: no such host", Reason.IMAGE_UNREACHABLE, True),
        ("dial tcp 10.0.0.1:443: i/o timeout", Reason.IMAGE_UNREACHABLE, True),
        ("dial tcp 10.0.0.1:443: connect: connection refused", Reason.IMAGE_UNREACHABLE, True),
        (
            "429 Too Many Requests: toomanyrequests: You have reached your pull rate limit",
            Reason.IMAGE_UNREACHABLE,
            True,
        ),
        ("no match for platform in manifest: not found", Reason.IMAGE_UNUSABLE, False),
    ],
)
def test_an_image_that_is_not_pulled_says_why(said: str, reason: Reason, passing: bool) -> None:
    found = only(pod(**waiting("ErrImagePull", f'failed to pull and unpack image "registry/x:1": {said}')))
    assert (found.reason, found.passing) == (reason, passing)
    assert said in found.message


def test_a_kubelet_that_only_backs_off_has_said_why_in_an_event() -> None:
    seen = pod(**waiting("ImagePullBackOff", 'Back-off pulling image "registry/x:1"'))
    older = event(seen, "Failed", 'Failed to pull image "registry/x:1": dial tcp: i/o timeout')
    newer = event(seen, "Failed", 'Failed to pull image "registry/x:1": 401 Unauthorized', at="2026-01-01T00:01:00Z")
    assert only(seen, newer, older).reason is Reason.IMAGE_DENIED


def test_a_back_off_that_says_why_itself_is_believed() -> None:
    said = 'Back-off pulling image "registry/x:1": ErrImagePull: registry/x:1: not found'
    assert only(pod(**waiting("ImagePullBackOff", said))).reason is Reason.IMAGE_MISSING


def test_a_name_that_is_none_never_becomes_one() -> None:
    found = only(pod(**waiting("InvalidImageName", "couldn't parse image name")))
    assert (found.reason, found.passing) == (Reason.IMAGE_UNUSABLE, False)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available", Reason.NO_CAPACITY),
        ("0/1 nodes are available: 1 Too many pods.", Reason.NO_CAPACITY),
        ("0/3 nodes are available: 3 node(s) had untolerated taint {gpu: true}.", Reason.NO_FITTING_NODE),
        ("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.", Reason.NO_FITTING_NODE),
        ("no nodes available to schedule pods", Reason.NO_FITTING_NODE),
        ("0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.", Reason.VOLUME_UNAVAILABLE),
        ('0/3 nodes are available: persistentvolumeclaim "data" not found.', Reason.VOLUME_UNAVAILABLE),
    ],
)
def test_a_pod_without_a_node_says_why_and_may_get_one(said: str, reason: Reason) -> None:
    found = only(pod(**unschedulable(said)))
    assert (found.reason, found.passing) == (reason, True)


@pytest.mark.parametrize(("restarts", "passing"), [(1, True), (4, True), (5, False), (40, False)])
def test_a_crash_is_given_some_tries(restarts: int, passing: bool) -> None:
    found = only(pod(**looping(restarts, ended(1, message="ModuleNotFoundError: No module named 'x'"))))
    assert (found.reason, found.passing) == (Reason.CONTAINER_FAILED, passing)
    assert "exit code 1 (Error)" in found.message
    assert "No module named 'x'" in found.message


def test_a_container_that_used_too_much_memory() -> None:
    found = only(pod(**looping(7, ended(137, "OOMKilled"))))
    assert (found.reason, found.passing) == (Reason.OUT_OF_MEMORY, False)


def test_long_last_words_are_told_from_their_end() -> None:
    found = only(pod(**looping(1, ended(1, message="first\n" + "." * 5000 + "\nlast"))))
    assert found.message.endswith("last")
    assert "first" not in found.message


@pytest.mark.parametrize(
    ("said", "reason", "passing"),
    [
        ('secret "airflow-keys" not found', Reason.CONFIGURATION_MISSING, False),
        ("couldn't find key jwt-secret in Secret dev/airflow-keys", Reason.CONFIGURATION_MISSING, False),
        ("failed to sync secret cache: timed out waiting for the condition", Reason.CONFIGURATION_MISSING, True),
        ("container has runAsNonRoot and image will run as root", Reason.CONTAINER_FAILED, False),
    ],
)
def test_a_container_that_cannot_be_made(said: str, reason: Reason, passing: bool) -> None:
    found = only(pod(**waiting("CreateContainerConfigError", said)))
    assert (found.reason, found.passing) == (reason, passing)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            'MountVolume.SetUp failed for volume "config" : configmap "airflow-config" not found',
            Reason.CONFIGURATION_MISSING,
        ),
        ('AttachVolume.Attach failed for volume "pvc-1" : rpc error: timed out', Reason.VOLUME_UNAVAILABLE),
    ],
)
def test_a_volume_that_is_not_mounted(said: str, reason: Reason) -> None:
    seen = pod(**waiting("ContainerCreating"))
    found = only(seen, event(seen, "FailedMount", said))
    assert (found.reason, found.passing) == (reason, True)


def test_a_probe_that_fails_is_told_while_the_pod_is_not_ready() -> None:
    containers = [{"name": "main", "restartCount": 0, "state": {"running": {}}}]
    slow = pod(conditions=[{"type": "Ready", "status": "False"}], containerStatuses=containers)
    told = event(slow, "Unhealthy", "Startup probe failed: HTTP probe failed with statuscode: 503")
    assert only(slow, told).reason is Reason.PROBE_FAILING
    ready = pod(conditions=[{"type": "Ready", "status": "True"}], containerStatuses=containers)
    assert troubles(Sight(pods=[ready], events=[told])) == []


def test_an_evicted_pod() -> None:
    found = only(pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."))
    assert (found.reason, found.passing) == (Reason.EVICTED, True)


def test_what_is_over_or_leaving_is_in_nobodys_way() -> None:
    leaving = pod(**waiting("ErrImagePull", "not found"))
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    done = pod(phase="Succeeded", containerStatuses=[{"name": "main", "state": ended(0, "Completed")}])
    assert troubles(Sight(pods=[leaving, done])) == []


def test_what_another_object_is_told_of_is_not_this_ones() -> None:
    seen, other = pod(**waiting("ContainerCreating")), pod("another")
    assert troubles(Sight(pods=[seen], events=[event(other, "FailedMount", "no")])) == []


def test_what_stays_comes_before_what_may_pass() -> None:
    slow, never = pod("a", **unschedulable("Insufficient cpu")), pod("b", **waiting("ErrImagePull", "not found"))
    found = troubles(Sight(pods=[slow, never]))
    assert [trouble.reason for trouble in found] == [Reason.IMAGE_MISSING, Reason.NO_CAPACITY]
    assert hopeless(found) == found[:1]
    assert str(found[0]).startswith("kubernetes:dev/pod/b: container main waits: ErrImagePull")
