"""A real Airflow from its package registry, in an environment of its own: its four components as processes of this machine."""

from tests.servers.airflow.server import AirflowServer, is_installed, python, run_airflow

__all__ = ["AirflowServer", "is_installed", "python", "run_airflow"]
