"""A thread that does one piece of work after the other, and knows for how long it has been at the one in hand."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class WorkThread(ThreadPoolExecutor):
    """An executor of one thread."""

    def __init__(self, name: str) -> None:
        super().__init__(1, thread_name_prefix=name)
        self._since: float | None = None

    @property
    def busy_s(self) -> float:
        """For how long it has been at the work in hand, also when nobody waits for that any more; 0 when there is none."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        def work() -> T:
            self._since = time.monotonic()
            try:
                return fn(*args, **kwargs)
            finally:
                self._since = None

        return super().submit(work)
