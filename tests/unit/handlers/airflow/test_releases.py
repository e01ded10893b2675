"""Which Airflow an environment gets."""

from dataclasses import replace

import pytest

from agentd.core import PermanentError, Reason
from agentd.platform.airflow_defaults import Release
from handlers.manifests.airflow import objects, resolve, running
from tests.unit.handlers.airflow.instances import instance

RELEASES = tuple(Release(version, f"airflow:{version}") for version in ("3.10.0", "3.4.1", "3.4.0", "3.3.2"))


@pytest.mark.parametrize(
    ("asked", "running", "found"),
    [
        ("3", None, "3.10.0"),
        ("3.4", None, "3.4.1"),
        ("3.4.0", None, "3.4.0"),
        ("3.1", "3.0.6", None),
        ("3", "3.3.2", "3.3.2"),
        ("3.4", "3.4.0", "3.4.0"),
        ("3.4.1", "3.4.0", "3.4.1"),
        ("3.4", "3.3.2", "3.4.1"),
        ("3.10", "3.4.1", "3.10.0"),
        # What runs is not offered any more: it has to move on.
        ("3", "3.3.0", "3.10.0"),
        # 3.1 is not the beginning of 3.10.
        ("3.1", None, None),
        ("3.9.9", None, None),
    ],
)
def test_the_running_one_is_kept_while_it_fits_and_else_the_newest_that_fits(
    asked: str, running: str | None, found: str | None
) -> None:
    if found is None:
        with pytest.raises(PermanentError, match=r"3\.10\.0, 3\.4\.1, 3\.4\.0, 3\.3\.2") as caught:
            resolve(asked, running, RELEASES)
        assert caught.value.reason is Reason.INVALID_REQUEST
    else:
        assert resolve(asked, running, RELEASES) == Release(found, f"airflow:{found}")


@pytest.mark.parametrize(("asked", "running"), [("3.3", "3.4.0"), ("3.4.0", "3.4.1"), ("3.4", "3.10.0")])
def test_an_older_one_is_refused(asked: str, running: str) -> None:
    with pytest.raises(PermanentError, match=rf"Airflow {running} is running and 3\.\d\.\d is older"):
        resolve(asked, running, RELEASES)


@pytest.mark.parametrize(
    ("asked", "reason", "told"),
    [
        ("2", Reason.INVALID_REQUEST, "has reached its end; set airflow_version to 3"),
        ("2.11.0", Reason.INVALID_REQUEST, "has reached its end"),
        ("4.0", Reason.UNSUPPORTED, "only Airflow 3"),
    ],
)
def test_other_majors_are_refused(asked: str, reason: Reason, told: str) -> None:
    with pytest.raises(PermanentError, match=told) as caught:
        resolve(asked, "3.3.2", RELEASES)
    assert caught.value.reason is reason


def test_what_runs_is_the_newest_that_the_schema_may_have_been_brought_to() -> None:
    found = instance()
    old, new = (objects(replace(found, release=release)) for release in (RELEASES[2], RELEASES[0]))
    migrated = [manifest for manifest in new if manifest["kind"] == "Job"]
    assert running([]) is None
    assert running(old) == "3.4.0"
    # After a crash between the migration and the switch.
    assert running([*old, *migrated]) == "3.10.0"
    assert running([{"metadata": {}}, {"metadata": {"labels": None}}]) is None
