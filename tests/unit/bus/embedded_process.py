"""Another process at a queue in a file: `python -m tests.unit.bus.embedded_process URL send|take NUMBER`.

It says `ready` once the queue is open, and begins with what it is there for when it is told to by a line. `take` prints each
message that it has deleted, until it has waited a second for nothing; with NUMBER it stops in the middle, holding the rest.
"""

import asyncio
import os
import signal
import sys
import time

from agentd.bus import Outgoing
from agentd.bus.embedded import EmbeddedQueue
from agentd.core import system_runtime


def _say(*words: object) -> None:
    sys.stdout.write(" ".join(str(word) for word in words) + "\n")
    sys.stdout.flush()


async def _main(url: str, what: str, number: int) -> None:
    queue = EmbeddedQueue(url, name="commands", runtime=system_runtime(), create=True)
    await queue.open()
    _say("ready")
    await asyncio.to_thread(sys.stdin.readline)
    if what == "send":
        await queue.send([Outgoing(str(n)) for n in range(number)])
        _say("sent", time.time())
    else:
        await _take(queue, number)
    await queue.close()


async def _take(queue: EmbeddedQueue, number: int) -> None:
    taken = 0
    while messages := await queue.receive(5, wait_s=1, visibility_s=3):
        for message in messages:
            if taken == number:
                os.kill(os.getpid(), signal.SIGKILL)
            await queue.delete([message.receipt])
            _say("took", message.body)
            taken += 1


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
