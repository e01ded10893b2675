"""The Airflow port on Airflow's REST API."""

from agentd.platform.airflow_rest.airflow import RestAirflows
from agentd.platform.airflow_rest.direct import DirectRoute

__all__ = ["DirectRoute", "RestAirflows"]
