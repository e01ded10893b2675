"""Processes under measurement: started, measured from outside, ended."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_STOP_S = 40.0
# Nothing else of this process' environment reaches what is measured.
_INHERITED = ("PATH", "HOME", "TMPDIR", "LANG")


class BenchmarkError(RuntimeError):
    """Something did not do what is measured of it, so that its numbers would mean nothing."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is started: a command, its environment, and where its output goes."""

    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """A running process, seen from outside."""

    process: asyncio.subprocess.Process
    log: Path
    started_at: float
    """On the machine's monotonic clock, right before it was started."""

    def cpu_s(self) -> float:
        """CPU seconds so far, user and system, of all its threads."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def rss_mib(self) -> float:
        """Resident memory."""
        return self._status("VmRSS") / 1024

    def _status(self, key: str) -> int:
        lines = self._proc("status").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))

    def _proc(self, name: str) -> str:
        try:
            return Path(f"/proc/{self.process.pid}/{name}").read_text()
        except OSError as error:
            raise BenchmarkError(f"it has ended; {self.tail()}") from error

    def check(self) -> None:
        """BenchmarkError, with the end of its output, when it has ended."""
        if self.process.returncode is not None:
            raise BenchmarkError(f"it ended with code {self.process.returncode}; {self.tail()}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def stop(self) -> None:
        """SIGTERM, and its end. BenchmarkError when it does not end well."""
        self.check()
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_S):
                code = await self.process.wait()
        except TimeoutError:
            raise BenchmarkError(f"it did not stop within {_STOP_S:g} s; {self.tail()}") from None
        if code != 0:
            raise BenchmarkError(f"it ended with code {code}; {self.tail()}")

    def tail(self) -> str:
        """The end of its output."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"its output ends with: {text[-3000:].strip() or 'nothing'}"


@asynccontextmanager
async def running(program: Program) -> AsyncIterator[Measured]:
    """The program runs until the block ends, whatever happens in it."""
    inherited = {key: os.environ[key] for key in _INHERITED if key in os.environ}
    with program.log.open("wb") as output:
        started_at = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *program.command,
            stdout=output,
            stderr=output,
            cwd=program.folder,
            env=inherited | dict(program.environment),
            start_new_session=True,
        )
    try:
        yield Measured(process, program.log, started_at)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def python(module: str, *arguments: str) -> Sequence[str]:
    """A command that runs a module of this folder."""
    return (sys.executable, "-m", module, *arguments)


def machine() -> str:
    """What the numbers were measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        "unknown processor",
    )
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    version = ".".join(map(str, sys.version_info[:3]))
    return (
        f"{model}, {os.cpu_count()} cores, {memory_kib / 2**20:.0f} GiB, Linux {os.uname().release}, Python {version}"
    )


def read_times(path: Path) -> Mapping[str, float]:
    """What a contender has written to BENCH_TIMES: when it handled what, on the machine's monotonic clock."""
    times: dict[str, float] = json.loads(path.read_text())
    return times
