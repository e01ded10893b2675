"""Processes that end together, whatever happens to the one that started them."""

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.servers.processes import ServerError, environment, tail

_REPOSITORY = Path(__file__).parents[3]
_START_S = 60.0
_PROBE_S = 0.05


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """A process group whose first process holds it on a leash: when the pipe to it closes, the whole group is killed.

    A test session that is killed closes it too. Nothing in a control plane is worth a graceful end: its data is thrown away.
    """

    folder: Path
    leash: subprocess.Popen[bytes]
    members: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator[Self]:
        """The group, until the block ends; then all its processes have ended too."""
        hold = ["/bin/sh", "-c", "cat >/dev/null; kill -KILL 0"]
        with subprocess.Popen(hold, stdin=subprocess.PIPE, process_group=0) as leash:
            group = cls(folder, leash)
            try:
                yield group
            finally:
                leash.communicate()
                for process in group.members.values():
                    process.wait()

    def start(self, name: str, command: Sequence[str], settings: Mapping[str, str] | None = None) -> None:
        """One more process; its output goes to a log in the folder, and its temporary files: what is killed removes none."""
        with self._log(name).open("wb") as log:
            self.members[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment({"TMPDIR": str(self.folder), **(settings or {})}),
                cwd=_REPOSITORY,
                process_group=self.leash.pid,
            )

    def wait(self, what: str, up: Callable[[], bool]) -> None:
        """Returns when it is up. ServerError when it is not within a minute, or when a process of the group ended."""
        deadline = time.monotonic() + _START_S
        while not up():
            for name, process in self.members.items():
                if process.poll() is not None:
                    raise ServerError(f"{name} ended with code {process.returncode}; {self._tail(name)}")
            if time.monotonic() > deadline:
                last = list(self.members)[-1]
                raise ServerError(f"{what} is not there after {_START_S:g} s; {last}: {self._tail(last)}")
            time.sleep(_PROBE_S)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _tail(self, name: str) -> str:
        with self._log(name).open("rb") as log:
            return tail(log)
