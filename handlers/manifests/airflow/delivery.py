"""Files that are put beside Airflow in its pods."""

from importlib.resources import files

# Airflow makes a file of its own where there is none, and cannot. Everything is in variables.
CFG = {"airflow.cfg": "[core]\n"}


def delivered(name: str) -> str:
    """A module of the agent's that runs inside Airflow."""
    return files("handlers.manifests.airflow").joinpath("delivered", name).read_text(encoding="utf-8")
