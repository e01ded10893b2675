"""A real Prometheus reads the metrics, and promtool finds nothing wrong with them."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from agentd.cli.control_plane import control_plane
from agentd.cli.demo import Teller
from agentd.cli.stack import free_port, start_stack
from agentd.cli.story import Stage, story
from agentd.core import system_runtime
from tests.e2e.harness import eventually, running


def program(name: str) -> str:
    """Where a program is; these tests fail without it."""
    found = shutil.which(name)
    assert found is not None, f"{name} is missing: apt-get install prometheus"
    return found


@asynccontextmanager
async def prometheus(folder: Path, target: str) -> AsyncIterator[tuple[str, Path]]:
    """A Prometheus that scrapes the target every half second; its address and its log."""
    config = folder / "prometheus.yml"
    config.write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "500ms", "scrape_timeout": "400ms"},
                "scrape_configs": [{"job_name": "agentd", "static_configs": [{"targets": [target]}]}],
            }
        )
    )
    address, log = f"127.0.0.1:{free_port()}", folder / "prometheus.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            program("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address={address}",
            stdout=output,
            stderr=output,
        )
    try:
        yield f"http://{address}", log
    finally:
        process.terminate()
        await process.wait()


async def query(url: str, expression: str) -> list[dict[str, object]]:
    """The samples of an instant query; none while the server is not up yet."""
    try:
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"{url}/api/v1/query", params={"query": expression}) as answer,
        ):
            document = await answer.json(content_type=None)
    except (aiohttp.ClientError, ValueError):
        return []
    found: list[dict[str, object]] = document.get("data", {}).get("result", [])
    return found


@pytest.mark.slow
async def test_prometheus_scrapes_without_a_warning_and_promtool_finds_nothing(tmp_path: Path) -> None:
    async with (
        start_stack(tmp_path) as stack,
        control_plane(stack, system_runtime()) as plane,
        running(stack) as daemon,
    ):
        await Teller(Stage(stack, system_runtime()), plane, story()).tell(lambda _told: None)
        target = daemon.http_url.removeprefix("http://")
        async with prometheus(tmp_path, target) as (url, log):

            async def is_up() -> bool:
                return [sample["value"] for sample in await query(url, "up")][-1:] != [] and bool(
                    await query(url, 'up == 1 and on() sum(agentd_event_outcomes_total{outcome="succeeded"}) > 5')
                )

            await eventually(is_up, within_s=30)
            assert await query(url, "agentd_build_info")
            assert await query(url, "histogram_quantile(0.9, sum by (le) (agentd_event_duration_seconds_bucket))")
            complaints = [
                line for line in log.read_text().splitlines() if "level=warn" in line or "level=error" in line
            ]
            assert complaints == []

        for accept in ("text/plain", "application/openmetrics-text; version=1.0.0"):
            async with (
                aiohttp.ClientSession() as client,
                client.get(f"{daemon.http_url}/metrics", headers={"Accept": accept}) as answer,
            ):
                assert answer.content_type == accept.partition(";")[0]
        _, text = await daemon.get("/metrics")
        promtool = await asyncio.create_subprocess_exec(
            program("promtool"),
            "check",
            "metrics",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await promtool.communicate(text.encode())
        assert (promtool.returncode, said.decode()) == (0, "")
