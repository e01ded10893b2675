"""Starting the servers themselves."""

from pathlib import Path

import pytest

from tests.servers import ServerError, processes, run_azurite, run_fauxqs
from tests.servers.airflow import run_airflow, server


def test_missing_fauxqs_is_an_error_that_names_the_target(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "_FAUXQS", tmp_path)
    with pytest.raises(ServerError, match="make servers"), run_fauxqs():
        pass


def test_missing_azurite_is_an_error_that_names_the_target(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "_AZURITE", tmp_path)
    with pytest.raises(ServerError, match="make servers"), run_azurite():
        pass


def test_missing_airflow_is_an_error_that_names_the_target(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(server, "_HERE", tmp_path)
    with pytest.raises(ServerError, match="make servers"), run_airflow(tmp_path, {}):
        pass
