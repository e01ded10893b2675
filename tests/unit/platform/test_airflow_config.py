"""The settings of Airflow, and what handlers are given of them."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agentd.platform.airflow_defaults import (
    AirflowComponent,
    AirflowDefaults,
    ClusterDatabase,
    ExternalDatabase,
    Release,
    RemoteLogs,
    Resources,
    SharedLogs,
    Toleration,
)
from agentd.platform.config import AirflowConfig


def config(**settings: Any) -> AirflowConfig:
    return AirflowConfig.model_validate(settings)


def test_what_is_not_set_is_the_agents_own_choice() -> None:
    assert config().defaults() == AirflowDefaults()


def test_releases_come_newest_first_by_number_and_not_by_letter() -> None:
    releases = {"3.9.0": "a", "3.10.0": "b", "3.9.11": "c"}
    found = config(releases=releases).defaults().releases
    assert found == (Release("3.10.0", "b"), Release("3.9.11", "c"), Release("3.9.0", "a"))


@pytest.mark.parametrize(
    ("text", "toleration"),
    [
        ("spot=true:NoSchedule", Toleration("spot", "true", "NoSchedule")),
        ("spot:NoExecute", Toleration("spot", None, "NoExecute")),
        ("example.com/spot", Toleration("example.com/spot")),
        ("spot=", Toleration("spot", "")),
    ],
)
def test_tolerations_are_read_as_kubectl_spells_taints(text: str, toleration: Toleration) -> None:
    nodes = config(spot_tolerations=[text], spot_node_selector={"a/b": "c"}).defaults().spot
    assert (nodes.tolerations, nodes.selector) == ((toleration,), {"a/b": "c"})


def test_components_that_are_not_named_keep_their_resources() -> None:
    mine = {"cpu": "1", "memory": "2Gi", "memory_limit": "4Gi"}
    found = config(resources={"scheduler": mine}).defaults().resources
    assert found[AirflowComponent.SCHEDULER] == Resources("1", "2Gi", "4Gi")
    assert found[AirflowComponent.WORKER] == AirflowDefaults().resources[AirflowComponent.WORKER]
    assert set(found) == set(AirflowComponent)


def test_a_database_is_in_the_cluster_or_on_a_server(tmp_path: Path) -> None:
    found = config(database={"image": "postgres:16", "storage": "1Gi", "storage_class": "fast"}).defaults().database
    assert found == ClusterDatabase("postgres:16", "1Gi", "fast")
    certificates = tmp_path / "ca.pem"
    certificates.write_text("PEM")
    external = {
        "place": "external",
        "host": "db.example",
        "sslmode": "verify-full",
        "ca_file": certificates,
        "admin_password_file": "password",
    }
    assert config(database=external).defaults().database == ExternalDatabase(
        "db.example", sslmode="verify-full", ca="PEM"
    )


def test_logs_are_nowhere_in_a_volume_or_in_a_folder_of_each_environment() -> None:
    assert config(logs={"place": "volume", "storage_class": "nfs"}).defaults().logs == SharedLogs("10Gi", "nfs")
    for folder, found in (("s3://b/logs/", "s3://b/logs/{environment}"), ("s3://b/{environment}/l",) * 2):
        assert config(logs={"place": "remote", "folder": folder}).defaults().logs == RemoteLogs(found)


def test_names_that_postgresql_would_cut_off_stay_apart() -> None:
    database = ExternalDatabase("db")
    assert (database.database("dev"), database.role("dev")) == ("airflow_dev", "airflow_dev")
    long = "e" * 62
    names = {database.database(f"{long}{last}") for last in "ab"}
    assert len(names) == 2
    assert all(len(name) <= 63 for name in names)


@pytest.mark.parametrize(
    "settings",
    [
        {"releases": {}},
        {"releases": {"2.11.0": "apache/airflow:2.11.0"}},
        {"releases": {"3.3": "apache/airflow:3.3.2"}},
        {"base_url": "https://host/airflow"},
        {"database": {"place": "external"}},
        {"database": {"place": "external", "host": "db"}},
        {"database": {"place": "external", "host": "db", "admin_password_file": "f", "database": "airflow"}},
        {"database": {"place": "external", "host": "db", "admin_password_file": "f", "sslmode": "verify-full"}},
        {"database": {"place": "external", "host": "db", "admin_password_file": "f", "sslmode": "disable"}},
        {"logs": {"place": "remote"}},
        {"spot_tolerations": ["key=value:Sometimes"]},
        {"resources": {"webserver": {"cpu": "1", "memory": "1Gi", "memory_limit": "1Gi"}}},
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(**settings)
