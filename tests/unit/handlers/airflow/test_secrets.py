"""Airflow's connections and variables in one secret each, read from an emulated Secrets Manager."""

import asyncio
import json
import sys
from collections.abc import Callable
from time import monotonic
from types import ModuleType
from typing import Any
from uuid import uuid4

import boto3
import pytest

from agentd.embedded import EmbeddedCloud
from tests.unit.handlers.airflow import delivered

pytestmark = pytest.mark.asyncio(loop_scope="module")


class BaseSecretsBackend:
    """Airflow's own: what it does with a backend beside asking it is its own business."""


@pytest.fixture
def backends(monkeypatch: pytest.MonkeyPatch, running: EmbeddedCloud) -> ModuleType:
    """The module as it is loaded inside Airflow, in a pod whose identity is the emulator's."""
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    secrets = ModuleType("airflow.secrets")
    monkeypatch.setattr(secrets, "BaseSecretsBackend", BaseSecretsBackend, raising=False)
    monkeypatch.setitem(sys.modules, "airflow", ModuleType("airflow"))
    monkeypatch.setitem(sys.modules, "airflow.secrets", secrets)
    return delivered.load("conveyor_secrets")


async def put(name: str, values: dict[str, Any]) -> None:
    def write() -> None:
        client = boto3.client("secretsmanager")
        try:
            client.create_secret(Name=name, SecretString=json.dumps(values))
        except client.exceptions.ResourceExistsException:
            client.put_secret_value(SecretId=name, SecretString=json.dumps(values))

    await asyncio.to_thread(write)


async def ask(question: Callable[[], str | None]) -> str | None:
    """Airflow asks from a thread of its own."""
    return await asyncio.to_thread(question)


async def test_a_connection_is_a_uri_or_json_and_a_variable_is_text(backends: ModuleType) -> None:
    connections, variables = f"c-{uuid4()}", f"v-{uuid4()}"
    await put(connections, {"shop": "postgresql://u:p@db/shop", "api": {"conn_type": "http", "host": "h"}})
    await put(variables, {"level": "info", "limits": [1, 2]})
    backend = backends.JsonSecrets(connections={"name": connections}, variables={"name": variables})
    assert await ask(lambda: backend.get_conn_value("shop")) == "postgresql://u:p@db/shop"
    assert json.loads(await ask(lambda: backend.get_conn_value("api", team_name="t")) or "") == {
        "conn_type": "http",
        "host": "h",
    }
    assert await ask(lambda: backend.get_variable("level")) == "info"
    assert await ask(lambda: backend.get_variable("limits")) == "[1, 2]"
    assert await ask(lambda: backend.get_conn_value("level")) is None
    assert await ask(lambda: backend.get_variable("shop")) is None


async def test_what_has_no_secret_is_looked_for_elsewhere(backends: ModuleType) -> None:
    backend = backends.JsonSecrets()
    assert (backend.get_conn_value("shop"), backend.get_variable("level")) == (None, None)


async def test_a_secret_is_believed_for_a_while_and_then_read_again(
    backends: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"v-{uuid4()}"
    await put(name, {"level": "info"})
    backend = backends.JsonSecrets(variables={"name": name})
    assert await ask(lambda: backend.get_variable("level")) == "info"
    await put(name, {"level": "debug"})
    assert await ask(lambda: backend.get_variable("level")) == "info"
    later = monotonic() + backends.BELIEVED_S
    monkeypatch.setattr(backends, "monotonic", lambda: later)
    assert await ask(lambda: backend.get_variable("level")) == "debug"
