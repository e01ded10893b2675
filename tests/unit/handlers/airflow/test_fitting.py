"""Whether quotas leave room for an environment's own Airflow."""

import pytest

from agentd.events import Quotas
from agentd.platform.airflow_defaults import AirflowComponent, ExternalDatabase, Resources
from handlers.manifests.airflow import objects, shortfalls
from tests.unit.handlers.airflow.instances import APPLICATIONS, DEFAULTS, PROJECTS, instance

_WHOLE = objects(instance(), PROJECTS, APPLICATIONS)


def test_quotas_that_nobody_has_set_are_enough() -> None:
    assert shortfalls(Quotas(), _WHOLE) == []


@pytest.mark.parametrize(
    ("quotas", "told"),
    [
        # Four processes, the database, the migration; two streaming applications of half a core and a gibibyte.
        (Quotas(cpu="1.7"), []),
        (Quotas(cpu="1699m"), ["quotas.cpu is 1699m, and Airflow asks for 1.7 by itself"]),
        (Quotas(memory="4864Mi"), []),
        (Quotas(memory="4Gi"), ["quotas.memory is 4Gi, and Airflow asks for 4864Mi by itself"]),
        (Quotas(storage="10Gi", pods=8), []),
        (
            Quotas(storage="9Gi", pods=7),
            [
                "quotas.storage is 9Gi, and Airflow asks for 10240Mi by itself",
                "quotas.pods is 7, and Airflow asks for 8 by itself",
            ],
        ),
    ],
)
def test_quotas_that_are_too_small_are_told(quotas: Quotas, told: list[str]) -> None:
    assert shortfalls(quotas, _WHOLE) == told


def test_what_runs_first_counts_where_it_is_the_larger() -> None:
    tiny = {**DEFAULTS.resources, AirflowComponent.DAG_PROCESSOR: Resources("10m", "16Mi", "16Mi")}
    mounted, copied = (
        objects(instance(image_volumes=how, resources=tiny, database=ExternalDatabase("db")), PROJECTS)
        for how in (True, False)
    )
    quotas = Quotas(memory="1Gi", storage="0")
    assert shortfalls(quotas, mounted) == ["quotas.memory is 1Gi, and Airflow asks for 2064Mi by itself"]
    assert shortfalls(quotas, copied) == ["quotas.memory is 1Gi, and Airflow asks for 2112Mi by itself"]
