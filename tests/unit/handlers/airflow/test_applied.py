"""Airflow on an API server: everything is admitted, its pods too, and nothing is written twice."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from agentd.core import Subject
from agentd.platform import AirflowDefaults, Applied, Manifest
from agentd.platform.airflow_defaults import Nodes, SharedLogs
from handlers.manifests import inside, namespace
from handlers.manifests.airflow import AirflowInstance, objects
from handlers.manifests.airflow.workers import worker
from handlers.manifests.projects import deployed
from tests.conformance.registry.support import RecordingFence
from tests.unit.handlers.airflow.instances import APPLICATIONS, DEFAULTS, PROJECTS, instance
from tests.unit.handlers.specs import PLAIN
from tests.unit.handlers.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Nodes of their own would have to be there, and so would a class of volumes.
_CHOICE = replace(DEFAULTS, spot=Nodes(), on_demand=Nodes(), priority_class=None, logs=SharedLogs())


def wanted(at: World, **more: Any) -> AirflowInstance:
    environment = replace(PLAIN, name=at.name, defaults=at.defaults)
    return replace(instance(environment, **more), defaults=_CHOICE)


async def apply(at: World, found: Sequence[Manifest]) -> Counter[str]:
    """Bring objects about, in their order; what that took."""
    fence = RecordingFence(Subject("environment", at.environment_id), at.registry.owner_id)
    return Counter([(await at.cluster.apply(manifest, fence=fence)).value for manifest in found])


async def bare(at: World) -> None:
    """An environment without its Airflow."""
    environment = wanted(at).environment
    await apply(at, [namespace(environment), *inside(environment)])


def everything(at: World) -> list[Manifest]:
    environment = wanted(at).environment
    records = [manifest for project in PROJECTS for manifest in deployed(project, environment)]
    return [*records, *objects(wanted(at), PROJECTS, APPLICATIONS)]


async def test_all_of_it_is_admitted_and_comes_again_without_a_write(at: World) -> None:
    await bare(at)
    found = everything(at)
    assert await apply(at, found) == Counter({Applied.CREATED.value: len(found)})
    assert await apply(at, found) == Counter({Applied.UNCHANGED.value: len(found)})


async def test_its_pods_are_admitted_under_the_restricted_standard(at: World) -> None:
    await bare(at)
    await apply(at, everything(at))
    root = f"/api/v1/namespaces/{at.name}"
    templates = [
        (manifest["metadata"]["name"], manifest["spec"]["template"])
        for manifest in objects(wanted(at), PROJECTS, APPLICATIONS)
        if "template" in manifest.get("spec", {})
    ]
    for name, template in templates:
        pod = {**template, "metadata": {**template["metadata"], "name": f"try-{name}"}}
        pod["spec"] = {**pod["spec"], "restartPolicy": "Always" if "migrate" not in name else "OnFailure"}
        await at.hands.call("POST", f"{root}/pods?dryRun=All&fieldValidation=Strict", pod)
    for image_volumes in (True, False):
        pod = worker(wanted(at, image_volumes=image_volumes), PROJECTS)
        admitted = await at.hands.call("POST", f"{root}/pods?dryRun=All&fieldValidation=Strict", pod)
        volumes = {volume["name"]: volume for volume in admitted["spec"]["volumes"]}
        assert ("image" in volumes["bundle-shop"]) is image_volumes


async def test_a_deploy_changes_what_loads_dags_and_nothing_else(at: World) -> None:
    await bare(at)
    await apply(at, objects(wanted(at)))
    await at.writes()
    await apply(at, objects(wanted(at), PROJECTS))
    assert await at.writes() == Counter({"PATCH airflow-worker": 1, "PATCH airflow-dag-processor": 1})


async def test_the_installations_own_choice_is_a_choice_that_is_admitted(at: World) -> None:
    await bare(at)
    environment = replace(PLAIN, name=at.name, defaults=at.defaults)
    found = objects(replace(instance(environment), defaults=AirflowDefaults()))
    assert await apply(at, found) == Counter({Applied.CREATED.value: len(found)})
