"""The embedded Kubernetes as its users see it, beside what any API server does: faults, counts, denials, behaviour of pods."""

import asyncio
import importlib.util
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from agentd.core import system_runtime
from agentd.embedded import EmbeddedKubernetes, EmbeddedServerError, Fault, FaultKind
from agentd.embedded.kube import Denial

pytestmark = pytest.mark.asyncio(loop_scope="module")

_MAPS = "/api/v1/namespaces/default/configmaps"
_PODS = "/api/v1/namespaces/default/pods"
_PREFIX = "kubelet.conveyor.internal/"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[EmbeddedKubernetes]:
    async with EmbeddedKubernetes.start(pod_start_s=0.0) as kubernetes:
        yield kubernetes


@pytest_asyncio.fixture(loop_scope="module")
async def kubernetes(running: EmbeddedKubernetes) -> AsyncIterator[EmbeddedKubernetes]:
    """With no faults, no denials, no objects of other tests and no calls."""
    await running.clear()
    await running.deny()
    async with aiohttp.ClientSession(running.url) as session:
        for path in (_MAPS, _PODS):
            async with session.delete(path, json={"gracePeriodSeconds": 0}) as response:
                await response.read()
    await running.reset_calls()
    yield running


@pytest_asyncio.fixture(loop_scope="module")
async def http(kubernetes: EmbeddedKubernetes) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(kubernetes.url) as session:
        yield session


async def _create(http: aiohttp.ClientSession, name: str, **query: str) -> int:
    async with http.post(_MAPS, json={"metadata": {"name": name}}, params=query) as response:
        await response.read()
        return response.status


async def _get(http: aiohttp.ClientSession, path: str, **query: str) -> tuple[int, Any]:
    async with http.get(path, params=query) as response:
        return response.status, json.loads(await response.read())


async def test_kubeconfig_names_the_server(kubernetes: EmbeddedKubernetes, tmp_path: Path) -> None:
    path = kubernetes.kubeconfig(tmp_path / "new" / "kubeconfig")
    assert json.loads(path.read_text())["clusters"][0]["cluster"] == {"server": kubernetes.url}


async def test_calls_are_counted_by_verb_and_resource(
    kubernetes: EmbeddedKubernetes, http: aiohttp.ClientSession
) -> None:
    await _create(http, "one")
    await _create(http, "one")
    await _get(http, _MAPS)
    await _get(http, f"{_MAPS}/one")
    calls = await kubernetes.calls()
    assert calls == {("create", "configmaps"): 2, ("list", "configmaps"): 1, ("get", "configmaps"): 1}
    assert kubernetes.writes(calls) == {("create", "configmaps"): 2}


async def test_dry_runs_and_questions_are_no_writes(
    kubernetes: EmbeddedKubernetes, http: aiohttp.ClientSession
) -> None:
    await _create(http, "one", dryRun="All")
    review = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
    async with http.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", json=review) as response:
        assert response.status == 201
    calls = await kubernetes.calls()
    assert calls == {("create (dry run)", "configmaps"): 1, ("create", "selfsubjectaccessreviews"): 1}
    assert kubernetes.writes(calls) == {}


async def test_injected_error_is_a_status_and_has_no_effect(
    kubernetes: EmbeddedKubernetes, http: aiohttp.ClientSession
) -> None:
    fault = Fault(
        kind=FaultKind.ERROR, service="configmaps", operation="create", status=429, message="slow down", retry_after_s=7
    )
    fault_id = await kubernetes.inject(fault)
    async with http.post(_MAPS, json={"metadata": {"name": "one"}}) as response:
        status = await response.json()
        assert (response.status, response.headers["Retry-After"]) == (429, "7")
    assert (status["kind"], status["reason"], status["message"]) == ("Status", "TooManyRequests", "slow down")
    assert await kubernetes.hits(fault_id) == 1
    assert await _create(http, "one") == 201


async def test_fault_meets_the_object_that_its_path_names(
    kubernetes: EmbeddedKubernetes, http: aiohttp.ClientSession
) -> None:
    await kubernetes.inject(Fault(kind=FaultKind.ERROR, operation="get", contains="/configmaps/one", status=503))
    assert (await _get(http, f"{_MAPS}/two"))[0] == 404
    assert (await _get(http, f"{_MAPS}/one"))[0] == 503


@pytest.mark.parametrize(("kind", "after"), [(FaultKind.DROP_BEFORE, 404), (FaultKind.DROP_AFTER, 200)])
async def test_dropped_call_has_its_effect_or_not(
    kubernetes: EmbeddedKubernetes, http: aiohttp.ClientSession, kind: FaultKind, after: int
) -> None:
    await kubernetes.inject(Fault(kind=kind, operation="create"))
    with pytest.raises(aiohttp.ClientError):
        await _create(http, "one")
    assert (await _get(http, f"{_MAPS}/one"))[0] == after


async def test_late_call_is_carried_out_though_nobody_waits(
    kubernetes: EmbeddedKubernetes, http: aiohttp.ClientSession
) -> None:
    _, before = await _get(http, _MAPS)
    await kubernetes.inject(Fault(kind=FaultKind.DELAY, operation="create", delay_s=0.3))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await _create(http, "one")
    query = {"watch": "true", "resourceVersion": before["metadata"]["resourceVersion"]}
    async with asyncio.timeout(10), http.get(_MAPS, params=query) as response:
        assert json.loads(await response.content.readline())["object"]["metadata"]["name"] == "one"


async def test_what_is_denied_is_refused_and_said_so(
    kubernetes: EmbeddedKubernetes, http: aiohttp.ClientSession
) -> None:
    await kubernetes.deny(Denial(verb="create", resource="configmaps", namespace="default"))
    async with http.post(_MAPS, json={"metadata": {"name": "one"}}) as response:
        status = await response.json()
    assert (status["code"], status["reason"]) == (403, "Forbidden")
    assert status["message"] == (
        'configmaps is forbidden: User "embedded" cannot create resource "configmaps" in API group "" in the namespace "default"'
    )
    assert not await _is_allowed(http, verb="create", resource="configmaps", namespace="default")
    assert await _is_allowed(http, verb="get", resource="configmaps", namespace="default")
    await kubernetes.deny()
    assert await _is_allowed(http, verb="create", resource="configmaps", namespace="default")
    assert await _create(http, "one") == 201


async def _is_allowed(http: aiohttp.ClientSession, **attributes: str) -> bool:
    path, body = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": {"resourceAttributes": attributes}}
    async with http.post(path, json=body) as response:
        return bool((await response.json())["status"]["allowed"])


async def test_compaction_ends_watches_and_pages_from_before(
    kubernetes: EmbeddedKubernetes, http: aiohttp.ClientSession
) -> None:
    for name in ("one", "three", "two"):
        await _create(http, name)
    _, page = await _get(http, _MAPS, limit="1")
    token, version = page["metadata"]["continue"], page["metadata"]["resourceVersion"]
    await _create(http, "later")
    await kubernetes.compact()
    async with http.get(_MAPS, params={"watch": "true", "resourceVersion": version}) as response:
        event = json.loads(await response.read())
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    status, gone = await _get(http, _MAPS, limit="1", **{"continue": token})
    assert (status, gone["reason"]) == (410, "Expired")
    _, rest = await _get(http, _MAPS, **{"continue": gone["metadata"]["continue"]})
    assert [item["metadata"]["name"] for item in rest["items"]] == ["later", "one", "three", "two"]


async def _pod(http: aiohttp.ClientSession, **told: str) -> None:
    annotations = {_PREFIX + name: value for name, value in told.items()}
    spec = {"containers": [{"name": "main", "image": "app:1"}], "restartPolicy": "Never"}
    body = {"metadata": {"name": "one", "annotations": annotations}, "spec": spec}
    async with http.post(_PODS, json=body) as response:
        assert response.status == 201, await response.text()


async def _until_phase(http: aiohttp.ClientSession, phase: str) -> None:
    query = {"watch": "true", "fieldSelector": "metadata.name=one"}
    async with asyncio.timeout(10), http.get(_PODS, params=query) as response:
        async for line in response.content:
            if json.loads(line)["object"]["status"].get("phase") == phase:
                return


async def test_log_is_what_the_annotation_says(kubernetes: EmbeddedKubernetes, http: aiohttp.ClientSession) -> None:
    await _pod(http, log="line 1\nline 2\nline 3\n")
    await _until_phase(http, "Running")
    for query, expected in (
        ({}, "line 1\nline 2\nline 3\n"),
        ({"tailLines": "1"}, "line 3\n"),
        ({"limitBytes": "4"}, "line"),
    ):
        async with http.get(f"{_PODS}/one/log", params=query) as response:
            assert await response.text() == expected


async def test_followed_log_goes_on_until_the_pod_ends(
    kubernetes: EmbeddedKubernetes, http: aiohttp.ClientSession
) -> None:
    await _pod(http, log="line 1\n")
    await _until_phase(http, "Running")
    async with asyncio.timeout(10), http.get(f"{_PODS}/one/log", params={"follow": "true"}) as response:
        assert await response.content.readline() == b"line 1\n"
        annotations = {f"{_PREFIX}log": "line 1\nline 2\n", f"{_PREFIX}behaviour": "complete"}
        content_type = {"Content-Type": "application/merge-patch+json"}
        body = json.dumps({"metadata": {"annotations": annotations}})
        async with http.patch(f"{_PODS}/one", data=body, headers=content_type) as patched:
            assert patched.status == 200
        assert await response.content.read() == b"line 2\n"


async def test_log_of_a_pod_that_waits_is_refused(kubernetes: EmbeddedKubernetes, http: aiohttp.ClientSession) -> None:
    await _pod(http, behaviour="never")
    status, answer = await _get(http, f"{_PODS}/one/log")
    assert (status, answer["reason"]) == (400, "BadRequest")
    assert answer["message"] == 'container "main" in pod "one" is waiting to start: ContainerCreating'


async def test_lists_come_as_tables_to_who_asks(kubernetes: EmbeddedKubernetes, http: aiohttp.ClientSession) -> None:
    await _pod(http)
    await _until_phase(http, "Running")
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
    async with http.get(_PODS, headers=accept) as response:
        table = await response.json()
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Ready", "Status", "Restarts", "Age"]
    (row,) = table["rows"]
    assert row["cells"][:4] == ["one", "1/1", "Running", 0]
    assert (row["object"]["kind"], row["object"]["metadata"]["name"]) == ("PartialObjectMetadata", "one")


async def test_missing_parts_are_an_error_with_the_remedy(
    kubernetes: EmbeddedKubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(EmbeddedServerError, match=r"agentd\[embedded\]"):
        async with EmbeddedKubernetes.start():
            pass


async def test_a_port_in_use_is_an_error_with_the_reason(kubernetes: EmbeddedKubernetes, tmp_path: Path) -> None:
    port = int(kubernetes.url.rpartition(":")[2])
    log = tmp_path / "logs" / "kubernetes.log"
    with pytest.raises(EmbeddedServerError, match=r"(?s)ended with code 1; .*in use"):
        async with EmbeddedKubernetes.start(port=port, log=log):
            pass
    assert "in use" in log.read_text()


async def test_server_ends_with_its_parent(tmp_path: Path) -> None:
    script = """
import asyncio, sys
from agentd.embedded import EmbeddedKubernetes

async def main():
    async with EmbeddedKubernetes.start() as kubernetes:
        print(kubernetes.url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    async with asyncio.timeout(30):
        url = (await parent.stdout.readline()).decode().strip()
        async with aiohttp.ClientSession(url) as http, http.get("/api/v1/pods", params={"watch": "true"}) as response:
            assert response.status == 200
            os.kill(parent.pid, signal.SIGKILL)
            await parent.wait()
            with pytest.raises(aiohttp.ClientError):
                await response.content.read()


async def test_server_runs_in_this_process_too() -> None:
    async with (
        EmbeddedKubernetes.start_here(system_runtime()) as kubernetes,
        aiohttp.ClientSession(kubernetes.url) as http,
    ):
        assert await _create(http, "one") == 201
        assert await kubernetes.calls() == {("create", "configmaps"): 1}
