"""Documents that are looked at again: what cannot be used leaves the last good one in force, and is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agentd.app.documents import Document, file
from agentd.core import PermanentError
from agentd.telemetry import Health, Metrics
from tests.virtual_time import virtual_runtime

RELOAD_S = 15.0


class Number:
    """A document that holds a number, and the metrics that tell of it."""

    def __init__(self, read: Callable[[], Awaitable[bytes]]) -> None:
        self.runtime = virtual_runtime()
        self.metrics = Metrics()
        self.health = Health(self.runtime)
        self.document: Document[int] = Document(
            "policy",
            "policy.file /number",
            read,
            int,
            reload_s=RELOAD_S,
            runtime=self.runtime,
            metrics=self.metrics,
            health=self.health,
        )

    @property
    def broken(self) -> float | None:
        """The metric."""
        return self.metrics.registry.get_sample_value("agentd_document_broken", {"document": "policy"})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Document[int]]:
        """Opened, and looked at again until the block ends."""
        await self.document.open()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.document.run())
            yield self.document
            task.cancel()

    async def look(self) -> None:
        """Until it has been looked at once more."""
        await self.runtime.sleep(RELOAD_S + 1)


async def test_a_changed_file_is_in_force_at_the_next_look(tmp_path: Path) -> None:
    path = tmp_path / "number"
    path.write_text("1")
    number = Number(file(path))
    async with number.running() as document:
        assert document.current() == 1
        path.write_text("2")
        assert document.current() == 1
        await number.look()
        assert (document.current(), document.warnings(), number.broken) == (2, (), 0)


async def test_a_broken_file_leaves_the_last_good_one_in_force(tmp_path: Path) -> None:
    path = tmp_path / "number"
    path.write_text("1")
    number = Number(file(path))
    async with number.running() as document:
        for text, told in (("one", "invalid literal"), ("x" * 300_000, "is larger than"), (None, "No such file")):
            path.unlink()
            if text is not None:
                path.write_text(text)
            await number.look()
            (warning,) = document.warnings()
            assert warning.startswith(
                "policy.file /number cannot be used as it is now, what it said before is in force: "
            )
            assert told in warning
            assert (document.current(), number.broken) == (1, 1)
            path.write_text("1")
        await number.look()
        assert (document.current(), document.warnings(), number.broken) == (1, (), 0)


async def test_a_file_that_is_swapped_by_a_link_is_noticed(tmp_path: Path) -> None:
    """As Kubernetes exchanges a mounted ConfigMap."""
    for name, text in (("first", "1"), ("second", "2")):
        (tmp_path / name).write_text(text)
    link = tmp_path / "number"
    link.symlink_to("first")
    number = Number(file(link))
    async with number.running() as document:
        (tmp_path / "new").symlink_to("second")
        (tmp_path / "new").replace(link)
        await number.look()
        assert document.current() == 2


async def test_a_read_that_hangs_is_given_up_and_tried_again() -> None:
    answers: list[asyncio.Future[bytes]] = []

    async def read() -> bytes:
        answers.append(asyncio.get_running_loop().create_future())
        if len(answers) != 2:
            answers[-1].set_result(str(len(answers)).encode())
        return await answers[-1]

    number = Number(read)
    async with number.running() as document:
        await number.runtime.sleep(RELOAD_S + 11)
        assert document.warnings()[0].endswith("it takes too long to read")
        assert document.current() == 1
        assert number.health.ailments() == ()
        await number.look()
        assert (document.current(), document.warnings()) == (3, ())


@pytest.mark.parametrize(("text", "told"), [(None, "No such file"), ("one", "invalid literal")])
async def test_without_a_good_one_the_start_is_refused_and_names_the_place(
    tmp_path: Path, text: str | None, told: str
) -> None:
    path = tmp_path / "number"
    if text is not None:
        path.write_text(text)
    number = Number(file(path))
    with pytest.raises(PermanentError, match=rf"^policy\.file /number: .*{told}"):
        await number.document.open()
    with pytest.raises(ValueError, match="has not been read"):
        number.document.current()
