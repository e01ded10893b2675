"""What Airflow does with a worker's pod, and where it finds projects' packages."""

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from handlers.manifests.airflow.workers import worker
from tests.unit.handlers.airflow import delivered
from tests.unit.handlers.airflow.instances import PROJECTS, instance, named


@pytest.fixture
def local_settings() -> Iterator[ModuleType]:
    before = list(sys.meta_path)
    yield delivered.load("airflow_local_settings")
    sys.meta_path[:] = before


def as_client(value: Any) -> Any:
    """As the Kubernetes client has it: attributes, in lower case with underscores; what is not there is None."""
    if isinstance(value, list):
        return [as_client(item) for item in value]
    if not isinstance(value, dict):
        return value
    names = {"containers", "init_containers", "volumes", "volume_mounts", "args"}
    found = {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): as_client(item) for name, item in value.items()}
    return SimpleNamespace(**{**dict.fromkeys(names), **found})


def about_to_start(bundle: str, *, image_volumes: bool = True) -> Any:
    """A worker's pod as Airflow hands it over."""
    pod = as_client(worker(instance(image_volumes=image_volumes), (*PROJECTS, named("team-orders"))))
    workload = json.dumps({"token": "t", "bundle_info": {"name": bundle, "version": None}})
    pod.spec.containers[0].args = [
        "python",
        "-m",
        "airflow.sdk.execution_time.execute_workload",
        "--json-string",
        workload,
    ]
    return pod


@pytest.mark.parametrize("image_volumes", [True, False])
@pytest.mark.parametrize(
    ("bundle", "volume", "account"),
    [
        ("team_orders", "bundle-team--orders", "team.orders"),
        ("team-orders", "bundle-team-orders", "team-orders"),
        ("shop", "bundle-shop", "shop"),
    ],
)
def test_a_worker_has_its_own_bundle_alone_and_is_its_project(
    local_settings: ModuleType, bundle: str, volume: str, account: str, image_volumes: bool
) -> None:
    pod = about_to_start(bundle, image_volumes=image_volumes)
    local_settings.pod_mutation_hook(pod)
    [base] = pod.spec.containers
    assert [found.name for found in pod.spec.volumes] == ["config", "logs", "tmp", volume]
    assert [mount.name for mount in base.volume_mounts] == ["config", "logs", "tmp", volume]
    copies = [container.name for container in pod.spec.init_containers or ()]
    assert copies == ([] if image_volumes else [volume])
    assert (pod.spec.service_account_name, pod.spec.automount_service_account_token) == (account, False)


def test_who_asks_for_another_account_does_not_get_it(local_settings: ModuleType) -> None:
    pod = about_to_start("shop")
    pod.spec.service_account_name, pod.spec.automount_service_account_token = "airflow-scheduler", True
    local_settings.pod_mutation_hook(pod)
    assert (pod.spec.service_account_name, pod.spec.automount_service_account_token) == ("shop", False)


def test_a_task_of_what_is_not_deployed_any_more_is_not_started(local_settings: ModuleType) -> None:
    with pytest.raises(LookupError, match="project gone is not deployed"):
        local_settings.pod_mutation_hook(about_to_start("gone"))


@pytest.mark.parametrize("args", [None, [], ["echo", "--json-string"]])
def test_a_pod_that_is_no_worker_is_left_alone(local_settings: ModuleType, args: list[str] | None) -> None:
    pod = about_to_start("shop")
    pod.spec.containers[0].args = args
    local_settings.pod_mutation_hook(pod)
    assert pod.spec.service_account_name == "airflow-worker"
    assert len(pod.spec.volumes) == 6


def test_each_bundle_finds_its_own_packages(
    local_settings: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_settings, "BUNDLES", f"{tmp_path}/")
    for name in ("shop", "team_orders"):
        package = tmp_path / name / "pkgs" / "conveyor_test_package"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(f"owner = {name!r}")
        (package / "inner.py").write_text(f"owner = {name!r}")
    for name in ("shop", "team_orders"):
        with monkeypatch.context() as patched:
            patched.setattr(sys, "path", [*sys.path, f"{tmp_path}/{name}/dags"])
            for module in ("conveyor_test_package", "conveyor_test_package.inner"):
                found = importlib.import_module(module)
                assert found.owner == name
            for module in ("conveyor_test_package", "conveyor_test_package.inner"):
                del sys.modules[module]
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("conveyor_test_package")


def test_it_looks_only_once_however_often_it_is_loaded(local_settings: ModuleType) -> None:
    found = [finder for finder in sys.meta_path if getattr(finder, "__name__", "") == "BundlePackages"]
    assert found == [local_settings.BundlePackages]
