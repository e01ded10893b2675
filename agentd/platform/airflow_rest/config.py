"""Settings of the Airflow port."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from agentd.core import Config
from agentd.platform.airflow import AIRFLOW_PORT, AIRFLOW_SERVICE

_URL = r"^https?://[^\s/?#]+$"


class AirflowConfig(Config):
    """The Airflows of environments: how their API servers are reached, and how patiently."""

    route: Literal["service", "api_server"] = "service"
    """`service`: the environment's Service itself, for an agent in the cluster's network. `api_server`: the Kubernetes API
    server's proxy to it, with the agent's own credentials, which then need get, create and patch on `services/proxy`."""
    url: Annotated[str, StringConstraints(pattern=_URL, max_length=200)] = (
        f"http://{AIRFLOW_SERVICE}.{{namespace}}.svc:{AIRFLOW_PORT}"
    )
    """Where an environment's Service is, for route `service`; `{namespace}` stands for the environment's namespace."""
    call_timeout_s: Annotated[float, Field(gt=0, le=120)] = 10.0
    """The longest that one call may take, in seconds; an API server at work answers within one. What remains of the lease
    shortens a write further."""
    parallel_calls: Annotated[int, Field(ge=1, le=100)] = 4
    """Calls at once to one environment: its API server has one worker unless it is made larger."""
    page_size: Annotated[int, Field(ge=1, le=1000)] = 100
    """Items per page of a listing: as many as Airflow gives by default."""
    max_answer_bytes: Annotated[int, Field(ge=65_536, le=268_435_456)] = 8_388_608
    """The largest answer that is read, and the largest page of a log, in bytes: 100 import errors with long tracebacks fit."""
