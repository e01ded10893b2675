"""The Airflow port on the REST API: what an environment's Airflow is told."""

from collections.abc import Sequence
from typing import Any

from agentd.core import Fence, PermanentError, Reason, Runtime, side_by_side
from agentd.platform.airflow import (
    AGENT,
    Airflow,
    AirflowAddress,
    Airflows,
    Caller,
    Conf,
    DagRun,
    RunState,
    TaskInstance,
)
from agentd.platform.airflow_rest import shapes
from agentd.platform.airflow_rest.calls import Calls, Request, Transport
from agentd.platform.airflow_rest.errors import CallCode, Failure
from agentd.platform.airflow_rest.reader import RestReader, dag_path, run_path
from agentd.platform.config import AirflowApiConfig
from agentd.platform.routes import Route
from agentd.telemetry import Metrics


class RestAirflows(Airflows):
    """Over one route, which the caller opens and closes. It keeps tokens, and nothing else."""

    def __init__(self, route: Route, config: AirflowApiConfig, *, metrics: Metrics, runtime: Runtime) -> None:
        self._transport = Transport(route, config, metrics=metrics, runtime=runtime)

    def of(self, address: AirflowAddress, caller: Caller = AGENT) -> Airflow:
        return RestAirflow(Calls(self._transport, address, caller), address, self._transport.config)


class RestAirflow(RestReader, Airflow):
    """See Airflow."""

    async def pause_all(self, *, fence: Fence) -> Sequence[str]:
        paused = {dag.dag_id for dag in await self.dags() if not dag.is_paused}
        if not paused:
            return []
        # One call for all, whatever the limit says, which is only for the answer's length.
        query = (("dag_id_pattern", "~"), ("paused", "false"), ("limit", str(self._config.page_size)))
        request = Request("pause all", "PATCH", "/dags", query, {"is_paused": True})
        answer = await self._calls.write(request, self._take(shapes.DAGS), obj="dags", fence=fence)
        if not isinstance(answer, Failure):
            paused |= {dag.dag_id for dag in answer.dags}
        return sorted(paused)

    async def set_paused(self, dag_ids: Sequence[str], paused: bool, *, fence: Fence) -> Sequence[str]:
        wanted = set(dag_ids)
        differing = [dag.dag_id for dag in await self.dags(stale=True) if dag.is_paused != paused]

        async def change(dag_id: str) -> bool:
            request = Request("pause" if paused else "unpause", "PATCH", dag_path(dag_id), body={"is_paused": paused})
            answer = await self._calls.write(
                request,
                self._take(shapes.DAG),
                obj=f"dag/{dag_id}",
                fence=fence,
                accept=(CallCode.NOT_FOUND,),
            )
            return not isinstance(answer, Failure)

        concerned = [dag_id for dag_id in differing if dag_id in wanted]
        changed = await side_by_side(concerned, change)
        return [dag_id for dag_id, is_changed in zip(concerned, changed, strict=True) if is_changed]

    async def trigger(
        self, dag_id: str, run_id: str, *, conf: Conf | None = None, note: str | None = None, fence: Fence
    ) -> DagRun:
        found = await self.dag_run(dag_id, run_id)
        if found is not None:
            return found
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf or {}), "note": note}
        answer = await self._calls.write(
            Request("trigger", "POST", f"{dag_path(dag_id)}/dagRuns", body=body),
            self._take(shapes.DAG_RUN),
            obj=f"dag/{dag_id}/run/{run_id}",
            fence=fence,
            accept=(CallCode.CONFLICT, CallCode.UNAVAILABLE),
        )
        if not isinstance(answer, Failure):
            return answer
        # Somebody was faster, or the answer is lost.
        found = await self.dag_run(dag_id, run_id)
        if found is None:
            raise answer.error()
        return found

    async def set_run_state(self, dag_id: str, run_id: str, state: RunState, *, fence: Fence) -> bool:
        obj = f"dag/{dag_id}/run/{run_id}"
        found = await self.dag_run(dag_id, run_id)
        if found is None:
            raise PermanentError(Reason.INVALID_REQUEST, f"set state of {self._address}/{obj}: there is no such run")
        if found.state == state:
            return False
        request = Request("set run state", "PATCH", run_path(dag_id, run_id), body={"state": state.value})
        await self._calls.write(request, self._take(shapes.DAG_RUN), obj=obj, fence=fence)
        return True

    async def clear(
        self,
        dag_id: str,
        run_id: str,
        *,
        task_ids: Sequence[str] = (),
        only_failed: bool = True,
        upstream: bool = False,
        downstream: bool = False,
        dry_run: bool = False,
        fence: Fence,
    ) -> Sequence[TaskInstance]:
        wanted: dict[str, Any] = {  # the call's own shape
            "dag_run_id": run_id,
            "only_failed": only_failed,
            "include_upstream": upstream,
            "include_downstream": downstream,
            **({"task_ids": list(task_ids)} if task_ids else {}),
        }
        path = f"{dag_path(dag_id)}/clearTaskInstances"
        take = self._take(shapes.TASK_INSTANCES)
        trial = Request("clear (dry run)", "POST", path, body={**wanted, "dry_run": True})
        meant = (await self._calls.read(trial, take)).task_instances
        if dry_run or not meant:
            return meant
        body = {**wanted, "dry_run": False, **({} if only_failed else {"prevent_running_task": True})}
        obj = f"dag/{dag_id}/run/{run_id}"
        request = Request("clear", "POST", path, body=body)
        answer = await self._calls.write(request, take, obj=obj, fence=fence, accept=(CallCode.CONFLICT,))
        if isinstance(answer, Failure):
            raise PermanentError(Reason.IN_USE, answer.error().message)
        return meant
