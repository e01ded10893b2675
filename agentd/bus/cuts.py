"""A part of a task that others may end."""

import asyncio
from types import TracebackType


class Cut:
    """Around a part of a task. Who ends it from outside cancels what is under way within; the task itself goes on after it.

    Like `asyncio.timeout`, but at once. A part does not end itself.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._cut = False

    def end(self) -> None:
        """End the part; nothing happens unless it is under way."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._cut = self._task.cancel() or self._cut

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        if self._task is not None:
            self._cancelling = self._task.cancelling()

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> bool:
        task, self._task = self._task, None
        if task is None or not self._cut:
            return False
        # A cancellation of the whole task that came as well goes on.
        return task.uncancel() <= self._cancelling and kind is asyncio.CancelledError
