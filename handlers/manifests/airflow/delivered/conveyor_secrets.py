"""Part of the agent that runs inside Airflow: connections and variables in one secret each, a JSON object by id."""

import json
from time import monotonic
from typing import Any

from airflow.secrets import BaseSecretsBackend

# How long a secret is believed, in seconds: DAGs ask for the same variables each time that they are parsed.
BELIEVED_S = 60.0


class JsonSecrets(BaseSecretsBackend):
    """A place is `{"name": ...}` in AWS Secrets Manager, with `keyvault` one in Azure Key Vault. Both use the pod's identity."""

    def __init__(
        self, connections: dict[str, str] | None = None, variables: dict[str, str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._connections = Secret(**connections) if connections else None
        self._variables = Secret(**variables) if variables else None

    def get_conn_value(self, conn_id: str, team_name: str | None = None) -> str | None:
        """A connection as a URI or as JSON, as Airflow itself takes it; None when it is not there."""
        return self._connections.get(conn_id) if self._connections else None

    def get_variable(self, key: str, team_name: str | None = None) -> str | None:
        """A variable's text; None when it is not there."""
        return self._variables.get(key) if self._variables else None


class Secret:
    """One secret, read again when it has been believed for long enough."""

    def __init__(self, name: str, keyvault: str | None = None) -> None:
        self._name = name
        self._keyvault = keyvault
        self._values: dict[str, Any] = {}
        self._until = 0.0

    def get(self, name: str) -> str | None:
        """The text of one of its values."""
        now = monotonic()
        if now >= self._until:
            self._values = json.loads(self._read())
            self._until = now + BELIEVED_S
        value = self._values.get(name)
        return value if value is None or isinstance(value, str) else json.dumps(value)

    def _read(self) -> str:
        if self._keyvault is None:
            import boto3

            text: str = boto3.client("secretsmanager").get_secret_value(SecretId=self._name)["SecretString"]
            return text
        from azure.identity import DefaultAzureCredential
        from azure.keyvault.secrets import SecretClient

        vault = f"https://{self._keyvault}.vault.azure.net"
        value: str = SecretClient(vault, DefaultAzureCredential()).get_secret(self._name).value
        return value
