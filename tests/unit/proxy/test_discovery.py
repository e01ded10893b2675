"""What a stranger finds: health and reflection, asked by a client that has none of our files."""

import asyncio
import json
import sys
from pathlib import Path

from tests.unit.proxy.rig import serving

CLIENT = Path(__file__).parent / "independent_client.py"


async def test_a_stranger_finds_every_call_by_reflection_and_its_health() -> None:
    async with serving() as rig:
        client = await asyncio.create_subprocess_exec(
            sys.executable, CLIENT, rig.address, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        told, complaints = await client.communicate()
    assert client.returncode == 0, complaints.decode()
    found = json.loads(told)
    assert found["services"] == [
        "conveyor.proxy.v1.Agent",
        "conveyor.proxy.v1.Cluster",
        "conveyor.proxy.v1.Environments",
        "grpc.health.v1.Health",
    ]
    assert found["calls"] == {
        "conveyor.proxy.v1.Agent": ["GetVersion", "GetStatus", "Explain", "ListDeadLetters", "Redrive"],
        "conveyor.proxy.v1.Cluster": ["GetHealth", "GetNodes"],
        "conveyor.proxy.v1.Environments": ["List", "Get", "Watch"],
    }
    assert found["health"] == dict.fromkeys(["", *found["calls"]], "SERVING")
    assert found["unknown"] == "NOT_FOUND"
    assert found["version"]["replica"] == "replica-1"
