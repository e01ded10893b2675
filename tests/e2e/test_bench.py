"""The benchmarks run, and what of their results does not depend on the machine is as good as it should be."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_ROOT = Path(__file__).parents[2]
_MOST_CALLS = {"agentd's bus alone": 0.21, "agentd, everything on": 0.32}


async def test_calls_of_a_message_at_saturation() -> None:
    chosen = [argument for name in _MOST_CALLS for argument in ("--contender", name)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench", "--quick", "--only", "throughput", *chosen, "-o", "json",
        cwd=_ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    (table,) = json.loads(output)["benchmarks"]["throughput"]
    calls = {row[0]: float(row[table["head"].index("calls a message")]) for row in table["rows"]}
    assert calls.keys() == _MOST_CALLS.keys()
    assert {name: found for name, found in calls.items() if found > _MOST_CALLS[name]} == {}
