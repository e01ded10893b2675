"""Where Airflow looks up connections and variables beside its own database."""

import json

from agentd.events.environments import SecretName, SecretsBackend

_CLASS = "conveyor_secrets.JsonSecrets"


def backend(spec: SecretsBackend | None) -> dict[str, str]:
    """The variables that set it: one secret with all connections, one with all variables. See `delivered/`."""
    if spec is None or not spec.enabled:
        return {}
    places = {"connections": _place(spec.connection), "variables": _place(spec.variable)}
    wanted = {name: place for name, place in places.items() if place is not None}
    return {
        "AIRFLOW__SECRETS__BACKEND": _CLASS,
        "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps(wanted, separators=(",", ":"), sort_keys=True),
    }


def _place(secret: SecretName | None) -> dict[str, str] | None:
    """AWS Secrets Manager, or the Key Vault that the secret names."""
    if secret is None:
        return None
    return {"name": secret.name, **({"keyvault": secret.keyvault} if secret.keyvault else {})}
