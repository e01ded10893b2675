"""What an embedded Airflow is told to be: the pods' part of the story, which nothing in it plays."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Task(_Told):
    """One task of a DAG. Tasks run one after the other."""

    task_id: str
    seconds: Annotated[float, Field(ge=0)] = 0.0
    """How long it runs."""
    failures: Annotated[int, Field(ge=0)] = 0
    """So many of its tries fail."""
    lines: tuple[str, ...] = ()
    """What each of its tries logs."""


class DagSpec(_Told):
    """A DAG of a file."""

    dag_id: str
    tasks: tuple[Task, ...] = (Task(task_id="task"),)


class DagFile(_Told):
    """A file of a bundle: with DAGs, or one that cannot be imported for `error`."""

    filename: str
    dags: tuple[DagSpec, ...] = ()
    error: str | None = None


class Setup(_Told):
    """One environment's Airflow. Told again, its bundles are parsed again; runs and pauses stay."""

    jwt_secret: Annotated[str, StringConstraints(min_length=64)]
    """What tokens are signed with."""
    prefix: str = "/environments/{name}/airflow"
    """Path of its base URL; `{name}` stands for the environment's name. No two environments may share one."""
    version: str = "3.3.2"
    bundles: Mapping[str, tuple[DagFile, ...]] = Field(default_factory=dict)
    parse_s: Annotated[float, Field(ge=0)] = 0.0
    """How long the DAG processor takes until it has seen these bundles."""
    unhealthy: tuple[str, ...] = ()
    """Components that are not at work: scheduler, triggerer, dag_processor, metadatabase."""
