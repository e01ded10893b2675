"""What a thread is doing at this moment, in one line: for a blocked event loop nobody else can say it."""

import asyncio
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import PurePath
from types import FrameType

_MOST_FRAMES = 4
_MOST_PARTS = 3  # of a path: enough to find the file, and nothing of how the machine is laid out
_STANDARD_LIBRARY = sysconfig.get_path("stdlib")
_INSTALLED = sysconfig.get_path("purelib")


def whereabouts(thread_id: int, loop: asyncio.AbstractEventLoop) -> str:
    """The task that the loop is at, and the thread's innermost frames, the innermost first.

    Of the standard library only the innermost frame is named: who called it is what matters.
    """
    task = asyncio.current_task(loop)
    frame = sys._current_frames().get(thread_id)  # noqa: SLF001 - documented, and there is no other way to ask
    who = "no task" if task is None else f"task {task.get_name()}"
    return f"{who} is in {' < '.join(_places(frame)) or 'no Python code'}"


def _places(innermost: FrameType | None) -> list[str]:
    frames = list(traceback.walk_stack(innermost)) if innermost is not None else []
    shown = frames[:1] + [(frame, line) for frame, line in frames[1:] if not _is_standard(frame)]
    return list(_lines(shown[:_MOST_FRAMES]))


def _lines(frames: list[tuple[FrameType, int]]) -> Iterator[str]:
    for frame, line in frames:
        path = "/".join(PurePath(frame.f_code.co_filename).parts[-_MOST_PARTS:])
        yield f"{path}:{line} {frame.f_code.co_name}"


def _is_standard(frame: FrameType) -> bool:
    path = frame.f_code.co_filename
    return path.startswith("<frozen") or (path.startswith(_STANDARD_LIBRARY) and not path.startswith(_INSTALLED))
