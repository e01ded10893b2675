"""The Job that parses the builds of a deploy before anything that runs is touched, and what it says."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Self

from agentd.platform import Manifest
from agentd.platform.airflow_defaults import AirflowComponent
from handlers.manifests.airflow import bundles, variables
from handlers.manifests.airflow.delivery import CFG, delivered
from handlers.manifests.airflow.instance import AirflowInstance
from handlers.manifests.airflow.pods import Part, container, pod
from handlers.manifests.kinds import CONFIG_MAP, JOB
from handlers.manifests.labels import AIRFLOW
from handlers.manifests.projects import DeployedProject

NAME = "airflow-check"

# What `delivered/conveyor_check.py` ends with when it has found something.
_FOUND = 3
_CONTAINER = "check"
# Airflow first: it imports the module itself, for its backend of secrets.
_COMMAND = "import airflow, conveyor_check; conveyor_check.main()"
# A node that goes away is no fault of a build.
_RETRIES = 2
# For so long people may look at what it said.
_KEPT_S = 3600
# The account of every namespace that is nobody in the cloud.
_ACCOUNT = "default"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check has found. `errors` and `duplicates` are sentences, as many as its pod could say; `streaming` is what each

    project's streaming.yaml says, by the project's name; `dags` says how many DAGs each has.
    """

    errors: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    streaming: Mapping[str, Any] = field(default_factory=dict)
    dags: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, pod: Manifest) -> Self | None:
        """What the pod of a check says; None as long as it has nothing to say, or could not make the check at all."""
        ended = _ended(pod)
        if ended is None or ended.get("exitCode") not in (0, _FOUND):
            return None
        # One that has nothing to say of builds without streaming applications may say nothing.
        told = json.loads(ended.get("message") or "{}")
        return cls(_errors(told), _duplicates(told), told.get("streaming") or {}, told.get("dags") or {})


def files(instance: AirflowInstance) -> Manifest:
    """What the Job runs. It has its own, so that it can run before anything else of a newer Airflow is there."""
    return instance.object(CONFIG_MAP, NAME, data=_files())


def check(instance: AirflowInstance, projects: Sequence[DeployedProject]) -> Manifest:
    """The Job. All builds are mounted as they are to be in the DAG processor; there is no database, no secret, no token and

    no network. Named for what it checks: the same builds on the same Airflow are checked once, and again after a while.
    """
    main = container(
        instance,
        AirflowComponent.CHECK,
        name=_CONTAINER,
        args=("python", "-c", _COMMAND),
        env=variables.check(instance, projects),
        mounts=bundles.mounts(projects),
    )
    template = pod(
        instance,
        AirflowComponent.CHECK,
        [main],
        account=_ACCOUNT,
        init=bundles.copies(instance, projects),
        volumes=bundles.volumes(instance, projects),
        config=NAME,
        restartPolicy="Never",
    )
    bad = {"action": "FailJob", "onExitCodes": {"containerName": _CONTAINER, "operator": "In", "values": [_FOUND]}}
    lost = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    spec: Part = {
        "backoffLimit": _RETRIES,
        "ttlSecondsAfterFinished": _KEPT_S,
        "podFailurePolicy": {"rules": [bad, lost]},
        "template": template,
    }
    # The agent looks at the clock itself, while the pod still says what it waits for; this is for when nobody looks any more.
    spec["activeDeadlineSeconds"] = int(2 * instance.defaults.patience.check_s)
    digest = sha256(json.dumps([spec, _files()], sort_keys=True).encode()).hexdigest()[:12]
    # A component of its own: it is nothing that the Airflow consists of, and goes by itself.
    return instance.environment.object(
        JOB, f"{NAME}-{digest}", part_of=AIRFLOW, component=AirflowComponent.CHECK.value, annotations=None, spec=spec
    )


def _files() -> dict[str, str]:
    return {**CFG, **{name: delivered(name) for name in ("airflow_local_settings.py", "conveyor_check.py")}}


def _ended(pod: Manifest) -> Manifest | None:
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if status["name"] == _CONTAINER:
            ended: Manifest | None = (status.get("state") or {}).get("terminated")
            return ended
    return None


def _errors(told: Mapping[str, Any]) -> tuple[str, ...]:
    said = [f"project {one['bundle']}, {one['file']}: {one['text']}" for one in told.get("errors") or ()]
    return _counted(said, told.get("all_errors", 0), "files")


def _duplicates(told: Mapping[str, Any]) -> tuple[str, ...]:
    said = [f"DAG {one['dag']} is in {', '.join(one['in'])}" for one in told.get("duplicates") or ()]
    return _counted(said, told.get("all_duplicates", 0), "DAGs")


def _counted(said: Sequence[str], number: int, what: str) -> tuple[str, ...]:
    more = number - len(said)
    return (*said, f"and {more} {what} more") if more > 0 else tuple(said)
