"""The Job that parses builds before a deploy: what it is given, and what it says."""

import json
from dataclasses import replace
from typing import Any

import pytest

from agentd.platform import Manifest
from agentd.platform.airflow_defaults import AirflowComponent
from handlers.manifests.airflow import objects
from handlers.manifests.airflow.check import CheckResult, check
from tests.unit.handlers.airflow.instances import ORDERS, PROJECTS, SECRETS, instance, pod_of, variables
from tests.unit.handlers.world import World


def job(*args: Any, **more: Any) -> Manifest:
    """The Job of a check."""
    return check(instance(**more), *args)


def ended(code: int, told: object = None) -> Manifest:
    """The pod of a check that has ended."""
    message = {} if told is None else {"message": json.dumps(told)}
    state = {"terminated": {"exitCode": code, **message}}
    return {"status": {"containerStatuses": [{"name": "check", "state": state}]}}


@pytest.mark.parametrize("image_volumes", [True, False])
def test_it_sees_the_builds_as_the_dag_processor_will(image_volumes: bool) -> None:
    checks = job(PROJECTS, image_volumes=image_volumes)["spec"]["template"]["spec"]
    parses = pod_of(objects(instance(image_volumes=image_volumes), PROJECTS), AirflowComponent.DAG_PROCESSOR)
    wanted = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"
    assert variables(checks)[wanted] == variables(parses)[wanted]
    assert checks["containers"][0]["image"] == parses["containers"][0]["image"]
    for pod in (checks, parses):
        pod["bundles"] = [mount for mount in pod["containers"][0]["volumeMounts"] if "bundle" in mount["name"]]
        pod["images"] = [volume for volume in pod["volumes"] if "bundle" in volume["name"]]
    assert (checks["bundles"], checks["images"]) == (parses["bundles"], parses["images"])


def test_it_is_given_nothing_that_is_secret() -> None:
    pod = job(PROJECTS)["spec"]["template"]["spec"]
    assert all("valueFrom" not in variable for variable in pod["containers"][0]["env"])
    assert not any(secret in json.dumps(pod) for secret in SECRETS)
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("default", False)


def test_the_same_builds_on_the_same_airflow_are_the_same_check() -> None:
    again, other = job(list(reversed(PROJECTS))), job([replace(ORDERS, image="registry/orders@sha256:2")])
    assert job(PROJECTS) == again
    assert job(PROJECTS)["metadata"]["name"] != other["metadata"]["name"]


def test_a_check_that_passed_hands_on_the_streaming_applications() -> None:
    found = CheckResult.of(ended(0, {"files": 1, "dags": {"orders": 1}, "streaming": {"orders": [{"name": "a"}]}}))
    assert found == CheckResult(streaming={"orders": [{"name": "a"}]}, dags={"orders": 1})
    assert CheckResult.of(ended(0)) == CheckResult()


def test_what_was_found_is_told_in_sentences_with_what_did_not_fit() -> None:
    told = {
        "errors": [{"bundle": "orders", "file": "a.py", "text": "SyntaxError"}],
        "duplicates": [{"dag": "daily", "in": ["orders/a.py", "shop/b.py"]}],
        "all_errors": 3,
        "all_duplicates": 1,
    }
    assert CheckResult.of(ended(3, told)) == CheckResult(
        errors=("project orders, a.py: SyntaxError", "and 2 files more"),
        duplicates=("DAG daily is in orders/a.py, shop/b.py",),
    )


@pytest.mark.parametrize(
    "pod", [{}, {"status": {"containerStatuses": [{"name": "check", "state": {}}]}}, ended(1), ended(137)]
)
def test_a_check_that_was_not_made_says_nothing(pod: Manifest) -> None:
    assert CheckResult.of(pod) is None


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("image_volumes", [True, False])
async def test_the_api_server_takes_it_under_the_restricted_standard(at: World, image_volumes: bool) -> None:
    await at.run(at.create())
    (template,) = [job(PROJECTS, image_volumes=image_volumes)["spec"]["template"]]
    pod = {**template, "metadata": {**template["metadata"], "name": "try"}}
    del pod["spec"]["nodeSelector"], pod["spec"]["priorityClassName"]
    root = f"/api/v1/namespaces/{at.name}"
    await at.hands.call("POST", f"{root}/pods?dryRun=All&fieldValidation=Strict", pod)
    whole = {**job(PROJECTS), "metadata": {"name": "try", "namespace": at.name}}
    path = f"/apis/batch/v1/namespaces/{at.name}/jobs?dryRun=All&fieldValidation=Strict"
    assert (await at.hands.call("POST", path, whole))["spec"]["podFailurePolicy"]["rules"]
