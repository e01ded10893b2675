"""What the audit log costs: on the event loop, on disk, and to verify. Run by hand: `python -m bench.audit [folder]`."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from agentd.audit import AuditConfig, FileAuditLog, open_audit
from agentd.audit.verification import verify
from agentd.core import AuditKind, system_runtime
from agentd.telemetry import Health, Metrics

APPENDED = 5_000
EVENTS = 20_000
EVENTS_PER_S = 10_000
FLUSHERS = 64  # events that wait for the disk at once
BATCH = 100


def claimed(number: int) -> Mapping[str, object]:
    """What is told of an attempt that begins."""
    identity = f"6f0c1a2b-0000-4000-8000-{number:012d}"
    return {
        "event_id": identity,
        "type": "conveyor.environment.update.v1",
        "subject": f"environment/{identity}",
        "generation": number,
        "digest": "sha256:" + sha256(identity.encode()).hexdigest(),
        "epoch": 1,
        "attempt": 1,
        "token": 7,
    }


async def appended(audit: FileAuditLog) -> float:
    """Microseconds of the event loop for one entry."""
    told = [claimed(number) for number in range(APPENDED)]
    begun = time.thread_time()
    for facts in told:
        audit.append(AuditKind.EVENT_CLAIMED, **facts)
    spent = time.thread_time() - begun
    await audit.flush()
    return spent / APPENDED * 1e6


async def offered(audit: FileAuditLog) -> tuple[float, float]:
    """Entries a second of events that each wait for their own to be durable, and how long in ms 99 of 100 wait at most."""
    waits: list[float] = []
    room = asyncio.Semaphore(FLUSHERS * BATCH)

    async def event(number: int) -> None:
        async with room:
            begun = time.perf_counter()
            audit.append(AuditKind.EVENT_CLAIMED, **claimed(number))
            await audit.flush()
            waits.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(EVENTS):
            group.create_task(event(number))
            if number % BATCH == BATCH - 1:
                await asyncio.sleep(max(0.0, begun + number / EVENTS_PER_S - time.perf_counter()))
    return EVENTS / (time.perf_counter() - begun), sorted(waits)[int(len(waits) * 0.99)] * 1e3


async def measure(folder: Path) -> tuple[float, float, float, float]:
    """All that is measured while it is written, and writes to the disk a second."""
    runtime, metrics = system_runtime(), Metrics()
    health = Health(runtime)
    async with open_audit(
        AuditConfig(), folder, replica="bench", store=None, runtime=runtime, metrics=metrics, health=health
    ) as audit:
        cost = await appended(audit.log)
        before = _writes(metrics)
        begun = time.perf_counter()
        rate, wait = await offered(audit.log)
        return cost, rate, wait, (_writes(metrics) - before) / (time.perf_counter() - begun)


def _writes(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("agentd_audit_flush_duration_seconds_count") or 0.0


def main() -> None:
    """Print what was measured."""
    out = sys.stdout.write
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        cost, rate, wait, writes = asyncio.run(measure(Path(folder)))
        begun = time.perf_counter()
        report = verify([Path(folder)])
        spent = time.perf_counter() - begun
    out(f"append          {cost:.1f} us of the event loop an entry\n")
    out(f"append + flush  {rate:.0f} entries/s of {EVENTS_PER_S} offered; durable within {wait:.1f} ms (99%)\n")
    out(f"disk            {writes:.0f} writes/s, each with one fsync\n")
    out(
        f"verify          {report.bytes / spent / 1e6:.0f} MB/s, {report.entries / spent:.0f} entries/s: {report.verdict}\n"
    )


if __name__ == "__main__":
    main()
