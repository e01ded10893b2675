"""An Airflow without its Python: the REST API of environments that are told what they are."""

from agentd.embedded.airflow.airflow import EmbeddedAirflow
from agentd.embedded.airflow.setup import DagFile, DagSpec, Setup, Task

__all__ = ["DagFile", "DagSpec", "EmbeddedAirflow", "Setup", "Task"]
