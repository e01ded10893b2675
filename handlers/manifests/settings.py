"""The environment's settings as Airflow finds them."""

import json

from agentd.platform import Manifest
from handlers.manifests.environment import Environment
from handlers.manifests.kinds import CONFIG_MAP

NAME = "environment"


def settings(environment: Environment) -> Manifest:
    """One ConfigMap: the whole configuration, and the part of it that is Airflow's own, as environment variables."""
    spec = environment.spec
    data = {
        "name": environment.name,
        "airflow-version": spec.airflow_version,
        "instance-lifecycle": spec.instance_lifecycle.value,
        "airflow.env": "".join(f"{name}={value}\n" for name, value in sorted(_variables(environment).items())),
        "airflow-configuration.json": canonical(spec.airflow_configuration.model_dump(mode="json")),
    }
    return environment.object(CONFIG_MAP, NAME, data=data)


def canonical(value: object) -> str:
    """JSON that differs only if the value does."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _variables(environment: Environment) -> dict[str, str]:
    """Source of the names: Airflow's configuration reference. AIRFLOW_VAR_* is Airflow's variable of that name."""
    core = environment.spec.airflow_configuration.core
    return {
        "AIRFLOW_VAR_ENVIRONMENT": environment.name,
        "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": str(core.max_active_tasks_per_dag),
        "AIRFLOW__CORE__PARALLELISM": str(core.parallelism),
    }
